"""Verbs: the contract, the settings of the built-in verbs, and the hook that offers them.

A verb is one primary configuration `conf/<verb>.yaml`, one settings class here, and one module beside this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from omegaconf import MISSING

from gptkit.command.base import Command
from gptkit.constraints import CONTEXT, DEVICES, SCORE, SEQUENCES, above, at_least, at_most, not_empty, one_of, texts
from gptkit.data import DataConfig
from gptkit.hookspecs import hookimpl
from gptkit.reward import RewardConfig
from gptkit.run_config import RunConfig
from gptkit.task import TaskConfig

__all__ = [
    "Command",
    "EvalCommand",
    "ExportCommand",
    "GenerateCommand",
    "PlanCommand",
    "PluginsCommand",
    "PredictCommand",
    "TrainCommand",
]


@dataclass
class TrainCommand(RunConfig, Command):
    """Train a model, or continue the run in the run folder."""

    verb: ClassVar[str] = "train"
    writes_folder: ClassVar[bool] = True

    def run(self, folder: Path) -> Any:
        from gptkit.command.train import train

        return train(self, folder)


@dataclass
class PlanCommand(RunConfig, Command):
    """Count parameters, operations, memory and time of a run without starting it."""

    verb: ClassVar[str] = "plan"

    device: Annotated[str, "what it would run on: auto (this machine) or a name such as h100, a100, v100", not_empty] = "auto"
    devices: Annotated[int, "how many of them", at_least(1), at_most(DEVICES)] = 1
    format: Annotated[str, "table or json", one_of("table", "json")] = "table"

    def run(self, folder: Path) -> Any:
        from gptkit.command.plan import plan

        return plan(self)


@dataclass
class GenerateCommand(Command):
    """Continue prompts with a trained model."""

    verb: ClassVar[str] = "generate"

    checkpoint: Annotated[str, "a run, a checkpoint folder, or hf:<folder or hub name>", not_empty] = MISSING
    prompt: Annotated[str, "the text to continue; @file: the file's text; -: standard input; empty: start of a text"] = ""
    prompts: Annotated[str | None, "a file of prompts: one per line, or .jsonl with the field `prompt`", not_empty] = None
    max_new_tokens: Annotated[int, "longest continuation", at_least(1), at_most(CONTEXT)] = 100
    temperature: Annotated[float, "0 is greedy", at_least(0), at_most(SCORE)] = 1.0
    top_k: Annotated[int, "draw from the k most probable tokens; 0: from all", at_least(0)] = 0
    top_p: Annotated[float, "draw from the most probable tokens that together have this probability", above(0), at_most(1)] = 1.0
    stop: Annotated[list[str], "end a continuation before any of these"] = field(default_factory=list)
    overflow: Annotated[
        str,
        "where prompt and text fill the context: stop, or slide (go on behind the last half of a context, read again)",
        one_of("stop", "slide"),
    ] = "stop"
    samples: Annotated[int, "continuations of each prompt", at_least(1), at_most(SEQUENCES)] = 1
    best_of: Annotated[
        int,
        "draw so many for each prompt and keep the `samples` that reward= scores highest; 0: keep all",
        at_least(0),
        at_most(SEQUENCES),
    ] = 0
    reward: Annotated[RewardConfig | None, "the judge that best_of asks; null: none"] = None
    batch: Annotated[int, "sequences decoded at once", at_least(1), at_most(SEQUENCES)] = 16
    seed: Annotated[int, "the same seed gives the same text on the same machine", at_least(0)] = 0
    stream: Annotated[bool | None, "print as it comes; by default where one text is printed to a terminal"] = None
    precision: Annotated[str, "auto, fp32 or bf16", one_of("auto", "fp32", "bf16")] = "auto"
    format: Annotated[str, "text or json (one line per continuation)", one_of("text", "json")] = "text"

    def __post_init__(self) -> None:
        if self.best_of and self.best_of < max(2, self.samples):
            raise ValueError(f"best_of={self.best_of} must be at least 2, and not below samples={self.samples}")

    def run(self, folder: Path) -> Any:
        from gptkit.command.generate import generate

        return generate(self)


@dataclass
class PredictCommand(Command):
    """Label a file of texts with a fine-tuned model."""

    verb: ClassVar[str] = "predict"

    checkpoint: Annotated[str, "a run that was trained with objective=aux_lm or probe, or one of its checkpoints", not_empty] = (
        MISSING
    )
    input: Annotated[
        Any,
        "a .csv, .tsv, .jsonl or .parquet file, a glob or folder, or a list of them; -: standard input, a table or one text a line",
        texts,
        not_empty,
    ] = None
    example: Annotated[str | None, "one text to label, in place of input", not_empty] = None
    output: Annotated[str | None, "the .csv, .tsv or .jsonl file to write; none: standard output", not_empty] = None
    text: Annotated[str | None, "the column of the text; by default that of the run's own data, else text", not_empty] = None
    pair: Annotated[str | None, "the column of the second text; by default that of the run's own data, else pair", not_empty] = None
    options: Annotated[
        Any,
        "the column of lists of options, or a list of columns; by default those of the run's own data, else options",
        texts,
        not_empty,
    ] = None
    label: Annotated[
        str | None,
        "the column of labels to compare with; auto: that of the run's data where the input has it; null: none",
        not_empty,
    ] = "auto"
    batch: Annotated[int, "examples that the model reads at once", at_least(1), at_most(SEQUENCES)] = 32
    precision: Annotated[str, "auto, fp32 or bf16", one_of("auto", "fp32", "bf16")] = "auto"
    format: Annotated[
        str | None, "csv, tsv or jsonl; by default what the name of the output says, else csv", one_of("csv", "tsv", "jsonl")
    ] = None

    def __post_init__(self) -> None:
        if (self.input is None) == (self.example is None):
            raise ValueError("give either input=<file> (or input=- for standard input), or example=<one text>")

    def run(self, folder: Path) -> Any:
        from gptkit.command.predict import predict

        return predict(self)


@dataclass
class EvalCommand(Command):
    """Evaluate a trained model on a task, alone or against another model."""

    verb: ClassVar[str] = "eval"

    task: TaskConfig = MISSING
    checkpoint: Annotated[str, "a run, a checkpoint folder, or hf:<folder or hub name>", not_empty] = MISSING
    against: Annotated[str | None, "the same, for the model that it is compared with", not_empty] = None
    data: Annotated[DataConfig | None, "a source in place of the one that the task, or the run, would read; null: none"] = None
    reward: Annotated[RewardConfig | None, "the judge of tasks that need one; null: that of the checkpoint's own run"] = None
    seed: Annotated[int, "the same seed gives the same scores", at_least(0)] = 0
    precision: Annotated[str, "fp32, bf16, or auto (bf16 where it is fast)", one_of("auto", "fp32", "bf16")] = "fp32"
    format: Annotated[str, "table or json", one_of("table", "json")] = "table"

    def run(self, folder: Path) -> Any:
        from gptkit.command.eval import evaluate

        return evaluate(self)


@dataclass
class ExportCommand(Command):
    """Write a checkpoint as a Hugging Face folder."""

    verb: ClassVar[str] = "export"

    checkpoint: Annotated[str, "a run or a checkpoint folder", not_empty] = MISSING
    to: Annotated[str, "the folder to write; must not exist or be empty", not_empty] = MISSING

    def run(self, folder: Path) -> Any:
        from gptkit.command.export import export

        return export(self)


@dataclass
class PluginsCommand(Command):
    """List every part with its kind, distribution and first line of documentation, or show the keys of one part."""

    verb: ClassVar[str] = "plugins"

    kind: Annotated[str | None, "only this kind"] = None
    name: Annotated[str | None, "the part whose keys are shown; needs `kind` where two kinds have the name"] = None
    format: Annotated[str, "table or json", one_of("table", "json")] = "table"

    def run(self, folder: Path) -> Any:
        from gptkit.command.plugins import plugins

        return plugins(self)


@hookimpl
def gptkit_command() -> list[type[Command]]:
    return [TrainCommand, GenerateCommand, PredictCommand, EvalCommand, PlanCommand, ExportCommand, PluginsCommand]
