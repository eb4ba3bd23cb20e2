"""Verbs: the contract, the settings of the built-in verbs, and the hook that offers them.

A verb is one primary configuration `conf/<verb>.yaml`, one settings class here, and one module beside this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from omegaconf import MISSING

from gptkit.attention import Attention
from gptkit.data import Data
from gptkit.hookspecs import hookimpl
from gptkit.model import Model
from gptkit.objective import Objective
from gptkit.optimizer import Optimizer
from gptkit.parts import Part
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
        _not_negative("val", every=self.every, sequences=self.sequences)


@dataclass
class Save:
    """When checkpoints are written, and which are kept."""

    every: Annotated[int, "steps between checkpoints; 0: only at the end"] = 500
    keep: Annotated[int, "how many of the newest are kept, the best by validation loss besides; 0: all"] = 2

    def __post_init__(self) -> None:
        _not_negative("save", every=self.every, keep=self.keep)


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
        _not_negative("samples", every=self.every, temperature=self.temperature, top_k=self.top_k)
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
    callback: Annotated[dict[str, Any], "callback parts by any name"] = field(default_factory=dict)
    tokens: Annotated[int, "length of the run in tokens; trainer.max_steps, where given, decides instead"] = 4_000_000
    epochs: Annotated[
        float | None, "length of the run in passes over the training data; where given, it decides instead of tokens"
    ] = None
    batch: Batch = field(default_factory=Batch)
    val: Validation = field(default_factory=Validation)
    save: Save = field(default_factory=Save)
    samples: Samples = field(default_factory=Samples)
    compile: Annotated[bool, "compile the model with torch.compile"] = False
    seed: Annotated[int, "decides initial weights, order of data, dropout and samples"] = 0
    init_from: Annotated[str | None, "start from these weights: a run, a checkpoint folder, or hf:<folder or hub name>"] = None
    trainer: Annotated[dict[str, Any], "arguments of Lightning's Trainer, by their own names"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.epochs is not None and self.epochs <= 0:
            raise ValueError(f"epochs={self.epochs} must be above 0")


@dataclass
class Train(Training):
    """Train a model, or continue the run that the folder holds."""

    verb: ClassVar[str] = "train"
    writes_folder: ClassVar[bool] = True

    def run(self, folder: Path) -> Any:
        from gptkit.command.train import train

        return train(self, folder)


@dataclass
class Plan(Training):
    """Count parameters, operations, memory and time of a run without starting it."""

    verb: ClassVar[str] = "plan"

    device: Annotated[str, "what it would run on: auto (this machine) or a name such as h100, a100, v100"] = "auto"
    devices: Annotated[int, "how many of them"] = 1
    format: Annotated[str, "table or json"] = "table"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format not in ("table", "json"):
            raise ValueError(f"format={self.format} must be table or json")

    def run(self, folder: Path) -> Any:
        from gptkit.command.plan import plan

        return plan(self)


@dataclass
class Generate(Command):
    """Continue prompts with a trained model."""

    verb: ClassVar[str] = "generate"

    checkpoint: Annotated[str, "a run, a checkpoint folder, or hf:<folder or hub name>"] = MISSING
    prompt: Annotated[str, "the text to continue; @file: the file's text; -: standard input; empty: start of a text"] = ""
    prompts: Annotated[str | None, "a file of prompts: one per line, or .jsonl with the field `prompt`"] = None
    max_new_tokens: Annotated[int, "longest continuation"] = 100
    temperature: Annotated[float, "0 is greedy"] = 1.0
    top_k: Annotated[int, "draw from the k most probable tokens; 0: from all"] = 0
    top_p: Annotated[float, "draw from the most probable tokens that together have this probability"] = 1.0
    stop: Annotated[list[str], "end a continuation before any of these"] = field(default_factory=list)
    samples: Annotated[int, "continuations of each prompt"] = 1
    batch: Annotated[int, "sequences decoded at once"] = 16
    seed: Annotated[int, "the same seed gives the same text"] = 0
    stream: Annotated[bool | None, "print as it comes; by default where one text is printed to a terminal"] = None
    precision: Annotated[str, "auto, fp32 or bf16"] = "auto"
    format: Annotated[str, "text or json (one line per continuation)"] = "text"

    def __post_init__(self) -> None:
        if self.format not in ("text", "json"):
            raise ValueError(f"format={self.format} must be text or json")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise ValueError(f"precision={self.precision} must be auto, fp32 or bf16")
        for key in ("max_new_tokens", "samples", "batch"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)} must be at least 1")
        _not_negative("", temperature=self.temperature, top_k=self.top_k)
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p={self.top_p} must be above 0 and at most 1")

    def run(self, folder: Path) -> Any:
        from gptkit.command.generate import generate

        return generate(self)


@dataclass
class Predict(Command):
    """Label a file of texts with a fine-tuned model."""

    verb: ClassVar[str] = "predict"

    checkpoint: Annotated[str, "a run that was trained with objective=aux_lm or probe, or one of its checkpoints"] = MISSING
    input: Annotated[Any, "a .csv, .tsv, .jsonl or .parquet file, a glob or folder, or a list of them"] = MISSING
    output: Annotated[str | None, "the .csv, .tsv or .jsonl file to write; none: standard output"] = None
    text: Annotated[str | None, "the column of the text; by default that of the run's own data, else text"] = None
    pair: Annotated[str | None, "the column of the second text; by default that of the run's own data, else pair"] = None
    options: Annotated[
        Any, "the column of lists of options, or a list of columns; by default those of the run's own data, else options"
    ] = None
    label: Annotated[
        str | None, "the column of labels to compare with; auto: that of the run's data where the input has it; null: none"
    ] = "auto"
    batch: Annotated[int, "examples that the model reads at once"] = 32
    precision: Annotated[str, "auto, fp32 or bf16"] = "auto"
    format: Annotated[str | None, "csv, tsv or jsonl; by default what the name of the output says, else csv"] = None

    def __post_init__(self) -> None:
        if self.precision not in ("auto", "fp32", "bf16"):
            raise ValueError(f"precision={self.precision} must be auto, fp32 or bf16")
        if self.format not in (None, "csv", "tsv", "jsonl"):
            raise ValueError(f"format={self.format} must be csv, tsv or jsonl")
        if self.batch < 1:
            raise ValueError(f"batch={self.batch} must be at least 1")

    def run(self, folder: Path) -> Any:
        from gptkit.command.predict import predict

        return predict(self)


@dataclass
class Export(Command):
    """Write a checkpoint as a Hugging Face folder."""

    verb: ClassVar[str] = "export"

    checkpoint: Annotated[str, "a run or a checkpoint folder"] = MISSING
    to: Annotated[str, "the folder to write; must not exist or be empty"] = MISSING

    def run(self, folder: Path) -> Any:
        from gptkit.command.export import export

        return export(self)


@dataclass
class Plugins(Command):
    """List every part with its kind, distribution and first line of documentation, or show the keys of one part."""

    verb: ClassVar[str] = "plugins"

    kind: Annotated[str | None, "only this kind"] = None
    name: Annotated[str | None, "the part whose keys are shown; needs `kind` where two kinds have the name"] = None
    format: Annotated[str, "table or json"] = "table"

    def __post_init__(self) -> None:
        if self.format not in ("table", "json"):
            raise ValueError(f"format={self.format} must be table or json")

    def run(self, folder: Path) -> Any:
        from gptkit.command.plugins import plugins

        return plugins(self)


def _not_negative(owner: str, **values: float) -> None:
    for key, value in values.items():
        if value < 0:
            raise ValueError(f"{owner}.{key}={value}".lstrip(".") + " must not be negative")


@hookimpl
def gptkit_command() -> list[type[Command]]:
    return [Train, Generate, Predict, Plan, Export, Plugins]
