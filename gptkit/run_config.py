"""The settings of a training run, shared by `gptkit train` and `gptkit plan`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from omegaconf import MISSING

from gptkit.adapter import AdapterConfig
from gptkit.attention import AttentionConfig
from gptkit.chat_template import ChatTemplateConfig
from gptkit.constraints import CONTEXT, SCORE, SEQUENCES, TOKENS, above, at_least, at_most, below, not_empty, one_of
from gptkit.data import DataConfig
from gptkit.model import ModelConfig
from gptkit.objective import ObjectiveConfig
from gptkit.optimizer import OptimizerConfig
from gptkit.reward import RewardConfig
from gptkit.tokenizer import TokenizerConfig


@dataclass
class BatchConfig:
    """The number of sequences per optimizer step, and per forward pass on each device."""

    size: Annotated[int, "sequences per optimizer step, over all devices", at_least(1), at_most(SEQUENCES)] = 16
    micro: Annotated[
        int | str,
        "sequences per device and forward pass; auto: as many as fit in memory",
        at_least(1),
        at_most(SEQUENCES),
        one_of("auto"),
    ] = "auto"


@dataclass
class ValidationConfig:
    """How often the validation loss is measured, and on which data."""

    every: Annotated[int, "steps between validations; 0: only at the end", at_least(0)] = 250
    fraction: Annotated[float, "share of the data to hold out if the source has no validation split", at_least(0), below(1)] = 0.05
    sequences: Annotated[int, "maximum number of held-out sequences, always the same ones; 0: all", at_least(0)] = 256


@dataclass
class SaveConfig:
    """How often checkpoints are saved, and how many are kept."""

    every: Annotated[int, "steps between checkpoints; 0: only at the end", at_least(0)] = 500
    keep: Annotated[
        int, "number of newest checkpoints to keep, in addition to the best one by validation loss; 0: all", at_least(0)
    ] = 2


@dataclass
class SamplesConfig:
    """Text that the model generates during training, with a separate random stream."""

    every: Annotated[int, "steps between samples; 0: only at the end", at_least(0)] = 500
    prompts: Annotated[list[str], "prompts of the samples; an empty prompt starts with end-of-text"] = field(
        default_factory=lambda: [""]
    )
    max_new_tokens: Annotated[int, "length of a sample in tokens", at_least(1), at_most(CONTEXT)] = 64
    temperature: Annotated[float, "sampling temperature; 0: greedy", at_least(0), at_most(SCORE)] = 0.8
    top_k: Annotated[int, "sample from the k most probable tokens; 0: from all", at_least(0)] = 50


@dataclass
class RunConfig:
    """The settings of a training run."""

    model: ModelConfig = MISSING
    attention: AttentionConfig = MISSING
    adapter: Annotated[
        AdapterConfig | None, "weights that are trained in place of those of the model; null: the model itself is trained"
    ] = None
    objective: ObjectiveConfig = MISSING
    tokenizer: TokenizerConfig = MISSING
    chat_template: Annotated[
        ChatTemplateConfig | None,
        "the chat template of objectives on dialogues; null: that of init_from or of the model's tokenizer, or else plain",
    ] = None
    data: DataConfig = MISSING
    optimizer: OptimizerConfig = MISSING
    reward: Annotated[RewardConfig | None, "the reward that the objective maximizes or selects checkpoints by; null: none"] = None
    callback: Annotated[dict[str, Any], "callbacks, each under a name of your choice"] = field(default_factory=dict)
    logger: Annotated[dict[str, Any], "loggers, each under a name of your choice"] = field(default_factory=dict)
    tokens: Annotated[int, "length of the run in tokens; trainer.max_steps overrides it", at_least(1), at_most(TOKENS)] = 4_000_000
    epochs: Annotated[
        float | None,
        "length of the run in passes over the training data; overrides tokens",
        above(0),
        at_most(1e9),
    ] = None
    batch: BatchConfig = field(default_factory=BatchConfig)
    val: ValidationConfig = field(default_factory=ValidationConfig)
    save: SaveConfig = field(default_factory=SaveConfig)
    samples: SamplesConfig = field(default_factory=SamplesConfig)
    ema: Annotated[
        float,
        "decay per update of a moving average of the weights, which is then validated and saved; 0: none",
        at_least(0),
        below(1),
    ] = 0.0
    compile: Annotated[bool, "compile the model with torch.compile"] = False
    verify: Annotated[bool, "verify every cached token shard against its checksum; false: verify a sample"] = False
    seed: Annotated[int, "random seed of the initial weights, the data order, dropout and samples", at_least(0)] = 0
    init_from: Annotated[str | None, "initial weights: a run, a checkpoint folder, or hf:<folder or Hub name>", not_empty] = None
    trainer: Annotated[dict[str, Any], "arguments of Lightning's Trainer, by name"] = field(default_factory=dict)
