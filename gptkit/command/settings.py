"""The base class of verbs, and the settings that training runs share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from omegaconf import MISSING

from gptkit.attention import Attention
from gptkit.data import Data
from gptkit.model import Model
from gptkit.objective import Objective
from gptkit.optimizer import Optimizer
from gptkit.parts import Part
from gptkit.reward import Reward
from gptkit.tokenizer import Tokenizer


@dataclass
class Command(Part):
    """A verb of the command line: the dataclass is its schema, `run` does it.

    Subclass it, give `verb` a value, add fields, write `run`, and ship a primary configuration
    `conf/<verb>.yaml` that begins with `- command/<verb>`.
    """

    verb: ClassVar[str] = ""
    writes_folder: ClassVar[bool] = False

    def run(self, folder: Path) -> Any:
        """Do it.

        Args:
            folder: the run folder, `hydra.run.dir`; verbs that only read never touch it.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement run()")


@dataclass
class Batch:
    """How many sequences make one optimizer step, and how many of them a device holds at once."""

    size: Annotated[int, "sequences per optimizer step, over all devices"] = 16
    micro: Annotated[int | str, "sequences per device and pass; auto: the most that fit in memory"] = "auto"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"batch.size={self.size} must be at least 1")
        if isinstance(self.micro, str) and self.micro != "auto":
            raise ValueError(f"batch.micro={self.micro} must be a number or auto")
        if isinstance(self.micro, int) and self.micro < 1:
            raise ValueError(f"batch.micro={self.micro} must be at least 1")


@dataclass
class Validation:
    """When the validation loss is measured, and on what."""

    every: Annotated[int, "steps between validations; 0: only at the end"] = 250
    fraction: Annotated[float, "share of the data held out where the source brings no validation split"] = 0.05
    sequences: Annotated[int, "at most this many held-out sequences, always the same; 0: all"] = 256

    def __post_init__(self) -> None:
        if not 0.0 <= self.fraction < 1.0:
            raise ValueError(f"val.fraction={self.fraction} must be at least 0 and below 1")
        not_negative("val", every=self.every, sequences=self.sequences)


@dataclass
class Save:
    """When checkpoints are written, and which are kept."""

    every: Annotated[int, "steps between checkpoints; 0: only at the end"] = 500
    keep: Annotated[int, "how many of the newest are kept, the best by validation loss besides; 0: all"] = 2

    def __post_init__(self) -> None:
        not_negative("save", every=self.every, keep=self.keep)


@dataclass
class Samples:
    """Text drawn from the model while it trains, on a random stream of its own."""

    every: Annotated[int, "steps between samples; 0: only at the end"] = 500
    prompts: Annotated[list[str], "what the samples begin with; an empty one begins with end-of-text"] = field(
        default_factory=lambda: [""]
    )
    max_new_tokens: Annotated[int, "length of a sample"] = 64
    temperature: Annotated[float, "0 is greedy"] = 0.8
    top_k: Annotated[int, "draw from the k most probable tokens; 0: from all"] = 50

    def __post_init__(self) -> None:
        not_negative("samples", every=self.every, temperature=self.temperature, top_k=self.top_k)
        if self.max_new_tokens < 1:
            raise ValueError(f"samples.max_new_tokens={self.max_new_tokens} must be at least 1")


@dataclass
class Training(Command):
    """The settings of a training run, shared by the verbs that train one and that plan one."""

    model: Model = MISSING
    attention: Attention = MISSING
    objective: Objective = MISSING
    tokenizer: Tokenizer = MISSING
    data: Data = MISSING
    optimizer: Optimizer = MISSING
    reward: Annotated[Reward | None, "the judge that an objective learns from or is selected by; null: none"] = None
    callback: Annotated[dict[str, Any], "callback parts by any name"] = field(default_factory=dict)
    tokens: Annotated[int, "length of the run in tokens; trainer.max_steps, where given, decides instead"] = 4_000_000
    epochs: Annotated[
        float | None, "length of the run in passes over the training data; where given, it decides instead of tokens"
    ] = None
    batch: Batch = field(default_factory=Batch)
    val: Validation = field(default_factory=Validation)
    save: Save = field(default_factory=Save)
    samples: Samples = field(default_factory=Samples)
    ema: Annotated[float, "decay per update of an average of the weights, which is what is validated and saved; 0: none"] = 0.0
    compile: Annotated[bool, "compile the model with torch.compile"] = False
    seed: Annotated[int, "decides initial weights, order of data, dropout and samples"] = 0
    init_from: Annotated[str | None, "start from these weights: a run, a checkpoint folder, or hf:<folder or hub name>"] = None
    trainer: Annotated[dict[str, Any], "arguments of Lightning's Trainer, by their own names"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.epochs is not None and self.epochs <= 0:
            raise ValueError(f"epochs={self.epochs} must be above 0")
        if not 0.0 <= self.ema < 1.0:
            raise ValueError(f"ema={self.ema} must be at least 0 and below 1")


def not_negative(owner: str, **values: float) -> None:
    for key, value in values.items():
        if value < 0:
            raise ValueError(f"{owner}.{key}={value}".lstrip(".") + " must not be negative")
