"""The settings of a training run: `gptkit train` runs them, `gptkit plan` counts them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from omegaconf import MISSING

from gptkit.attention import AttentionConfig
from gptkit.constraints import CONTEXT, SCORE, SEQUENCES, TOKENS, above, at_least, at_most, below, not_empty, one_of
from gptkit.data import DataConfig
from gptkit.model import ModelConfig
from gptkit.objective import ObjectiveConfig
from gptkit.optimizer import OptimizerConfig
from gptkit.reward import RewardConfig
from gptkit.tokenizer import TokenizerConfig


@dataclass
class BatchConfig:
    """How many sequences make one optimizer step, and how many of them a device holds at once."""

    size: Annotated[int, "sequences per optimizer step, over all devices", at_least(1), at_most(SEQUENCES)] = 16
    micro: Annotated[
        int | str,
        "sequences per device and pass; auto: the most that fit in memory",
        at_least(1),
        at_most(SEQUENCES),
        one_of("auto"),
    ] = "auto"


@dataclass
class ValidationConfig:
    """When the validation loss is measured, and on what."""

    every: Annotated[int, "steps between validations; 0: only at the end", at_least(0)] = 250
    fraction: Annotated[float, "share of the data held out where the source brings no validation split", at_least(0), below(1)] = (
        0.05
    )
    sequences: Annotated[int, "at most this many held-out sequences, always the same; 0: all", at_least(0)] = 256


@dataclass
class SaveConfig:
    """When checkpoints are written, and which are kept."""

    every: Annotated[int, "steps between checkpoints; 0: only at the end", at_least(0)] = 500
    keep: Annotated[int, "how many of the newest are kept, the best by validation loss besides; 0: all", at_least(0)] = 2


@dataclass
class SamplesConfig:
    """Text drawn from the model while it trains, on a random stream of its own."""

    every: Annotated[int, "steps between samples; 0: only at the end", at_least(0)] = 500
    prompts: Annotated[list[str], "what the samples begin with; an empty one begins with end-of-text"] = field(
        default_factory=lambda: [""]
    )
    max_new_tokens: Annotated[int, "length of a sample", at_least(1), at_most(CONTEXT)] = 64
    temperature: Annotated[float, "0 is greedy", at_least(0), at_most(SCORE)] = 0.8
    top_k: Annotated[int, "draw from the k most probable tokens; 0: from all", at_least(0)] = 50


@dataclass
class RunConfig:
    """The settings of a training run, shared by the verbs that train one and that plan one."""

    model: ModelConfig = MISSING
    attention: AttentionConfig = MISSING
    objective: ObjectiveConfig = MISSING
    tokenizer: TokenizerConfig = MISSING
    data: DataConfig = MISSING
    optimizer: OptimizerConfig = MISSING
    reward: Annotated[RewardConfig | None, "the judge that an objective learns from or is selected by; null: none"] = None
    callback: Annotated[dict[str, Any], "callback parts by any name"] = field(default_factory=dict)
    tokens: Annotated[
        int, "length of the run in tokens; trainer.max_steps, where given, decides instead", at_least(1), at_most(TOKENS)
    ] = 4_000_000
    epochs: Annotated[
        float | None,
        "length of the run in passes over the training data; where given, it decides instead of tokens",
        above(0),
        at_most(1e9),
    ] = None
    batch: BatchConfig = field(default_factory=BatchConfig)
    val: ValidationConfig = field(default_factory=ValidationConfig)
    save: SaveConfig = field(default_factory=SaveConfig)
    samples: SamplesConfig = field(default_factory=SamplesConfig)
    ema: Annotated[
        float, "decay per update of an average of the weights, which is what is validated and saved; 0: none", at_least(0), below(1)
    ] = 0.0
    compile: Annotated[bool, "compile the model with torch.compile"] = False
    verify: Annotated[bool, "compare all token shards that were kept with what was written; false: a sample of them"] = False
    seed: Annotated[int, "decides initial weights, order of data, dropout and samples", at_least(0)] = 0
    init_from: Annotated[
        str | None, "start from these weights: a run, a checkpoint folder, or hf:<folder or hub name>", not_empty
    ] = None
    trainer: Annotated[dict[str, Any], "arguments of Lightning's Trainer, by their own names"] = field(default_factory=dict)
