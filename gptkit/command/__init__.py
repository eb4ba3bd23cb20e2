"""The base class of commands, the settings of the built-in commands, and the hook that registers them.

A command consists of a primary configuration `conf/<verb>.yaml`, a settings class here, and a module in this folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from omegaconf import MISSING

from gptkit.chat_template import ChatTemplateConfig
from gptkit.command.base import Command
from gptkit.command.chat_config import ChatCommand
from gptkit.command.compare_config import CompareCommand
from gptkit.command.eval_config import EvalCommand
from gptkit.command.sampling_keys import MaxNewTokens, Precision, Seed, Stop, Temperature, TopK, TopP
from gptkit.constraints import DEVICES, SEQUENCES, at_least, at_most, not_empty, one_of, texts
from gptkit.hookspecs import hookimpl
from gptkit.reward import RewardConfig
from gptkit.run_config import RunConfig

__all__ = [
    "ChatCommand",
    "Command",
    "CompareCommand",
    "EvalCommand",
    "ExportCommand",
    "GenerateCommand",
    "IndexCommand",
    "PlanCommand",
    "PluginsCommand",
    "PredictCommand",
    "PushCommand",
    "ReportCommand",
    "TrainCommand",
]


@dataclass
class TrainCommand(RunConfig, Command):
    """Train a model, or continue the run in the run folder."""

    verb: ClassVar[str] = "train"
    writes_folder: ClassVar[bool] = True

    def execute(self, folder: Path, callbacks: Sequence[Any] = ()) -> Any:
        from gptkit.command.train import train

        return train(self, folder, callbacks)


@dataclass
class PlanCommand(RunConfig, Command):
    """Count parameters, operations, memory and time of a run without starting it."""

    verb: ClassVar[str] = "plan"

    device: Annotated[str, "the device to plan for: auto (this machine) or a name such as h100, a100, v100", not_empty] = "auto"
    devices: Annotated[int, "number of devices", at_least(1), at_most(DEVICES)] = 1
    format: Annotated[str, "table or json", one_of("table", "json")] = "table"

    def execute(self, folder: Path) -> Any:
        from gptkit.command.plan import plan

        return plan(self)


@dataclass
class GenerateCommand(Command):
    """Continue prompts with a trained model."""

    verb: ClassVar[str] = "generate"

    checkpoint: Annotated[str, "a run, a checkpoint folder, or hf:<folder or hub name>", not_empty] = MISSING
    prompt: Annotated[str, "the text to continue; @file: the file's text; -: standard input; empty: start of a text"] = ""
    prompts: Annotated[
        str | None, "a file of prompts: one per line, or .jsonl with the field `prompt` (with chat=true, or `messages`)", not_empty
    ] = None
    chat: Annotated[bool, "a prompt is a message of the user, and the text is the answer of the model"] = False
    system: Annotated[str, "with chat=true: the system message before prompts that have none"] = ""
    chat_template: Annotated[
        ChatTemplateConfig | None, "with chat=true: the chat template; null: the one with which the model was trained"
    ] = None
    max_new_tokens: MaxNewTokens = 100
    temperature: Temperature = 1.0
    top_k: TopK = 0
    top_p: TopP = 1.0
    stop: Stop = field(default_factory=list)
    overflow: Annotated[
        str,
        "when prompt and text fill the context: stop, or slide (keep the last half of the context and continue)",
        one_of("stop", "slide"),
    ] = "stop"
    samples: Annotated[int, "continuations of each prompt", at_least(1), at_most(SEQUENCES)] = 1
    best_of: Annotated[
        int,
        "generate this many for each prompt and keep the `samples` with the highest scores of reward=; 0: keep all",
        at_least(0),
        at_most(SEQUENCES),
    ] = 0
    reward: Annotated[RewardConfig | None, "the reward that scores the texts for best_of; null: none"] = None
    batch: Annotated[int, "sequences decoded at once", at_least(1), at_most(SEQUENCES)] = 16
    seed: Seed = 0
    stream: Annotated[bool | None, "print tokens as they are generated; default: if one text is printed to a terminal"] = None
    precision: Precision = "auto"
    format: Annotated[str, "text or json (one line per continuation)", one_of("text", "json")] = "text"

    def __post_init__(self) -> None:
        if self.best_of and self.best_of < max(2, self.samples):
            raise ValueError(f"best_of={self.best_of} must be at least 2, and not below samples={self.samples}")
        if not self.chat and (self.system or self.chat_template is not None):
            raise ValueError(f"{'system' if self.system else 'chat_template'} is only used with chat=true; add it")

    def execute(self, folder: Path) -> Any:
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
        "a .csv, .tsv, .jsonl or .parquet file, glob or folder, or a list of them; -: standard input, a table or one text per line",
        texts,
        not_empty,
    ] = None
    example: Annotated[str | None, "one text to label, instead of input", not_empty] = None
    output: Annotated[str | None, "the .csv, .tsv or .jsonl file to write; null: standard output", not_empty] = None
    text: Annotated[str | None, "the column of the text; default: the column of the run's data, or text", not_empty] = None
    pair: Annotated[str | None, "the column of the second text; default: the column of the run's data, or pair", not_empty] = None
    options: Annotated[
        Any,
        "the column of lists of options, or a list of columns; default: the columns of the run's data, or options",
        texts,
        not_empty,
    ] = None
    label: Annotated[
        str | None,
        "the column of labels to compare with; auto: the column of the run's data if the input has it; null: none",
        not_empty,
    ] = "auto"
    batch: Annotated[int, "examples per batch", at_least(1), at_most(SEQUENCES)] = 32
    precision: Precision = "auto"
    format: Annotated[str | None, "csv, tsv or jsonl; default: the extension of output, or csv", one_of("csv", "tsv", "jsonl")] = (
        None
    )

    def __post_init__(self) -> None:
        if (self.input is None) == (self.example is None):
            raise ValueError("set either input=<file> (or input=- for standard input), or example=<one text>")

    def execute(self, folder: Path) -> Any:
        from gptkit.command.predict import predict

        return predict(self)


@dataclass
class ExportCommand(Command):
    """Write a checkpoint as a Hugging Face folder."""

    verb: ClassVar[str] = "export"

    checkpoint: Annotated[str, "a run or a checkpoint folder", not_empty] = MISSING
    to: Annotated[str, "the folder to write; it must be new or empty", not_empty] = MISSING

    def execute(self, folder: Path) -> Any:
        from gptkit.command.export import export

        return export(self)


@dataclass
class PushCommand(Command):
    """Upload a checkpoint to the Hugging Face hub, with a model card."""

    verb: ClassVar[str] = "push"

    checkpoint: Annotated[str, "a run, a checkpoint folder, or hf:<folder or hub name>", not_empty] = MISSING
    to: Annotated[str, "the model repository, <user or organization>/<name>; created if there is none", not_empty] = MISSING
    private: Annotated[
        bool | None, "visibility of a new repository; null: the hub's default, which is public unless the organization has another"
    ] = None
    branch: Annotated[str, "the branch to commit to; created from main if there is none", not_empty] = "main"
    message: Annotated[str | None, "the message of the commit; null: version of gptkit and step", not_empty] = None
    license: Annotated[
        str | None, "the licence, by its identifier on the hub, such as apache-2.0; null: a placeholder in the card", not_empty
    ] = None
    card: Annotated[str, "a model card that the repository has already: keep it, or write a new one", one_of("keep", "new")] = (
        "keep"
    )
    dry_run: Annotated[bool, "show the files and the model card without sending anything"] = False

    def execute(self, folder: Path) -> Any:
        from gptkit.command.push import push

        return push(self)


@dataclass
class PluginsCommand(Command):
    """List every part with its kind, distribution and summary, or show the keys of one part."""

    verb: ClassVar[str] = "plugins"

    kind: Annotated[str | None, "only this kind"] = None
    name: Annotated[str | None, "the part whose keys are shown; needs `kind` if two kinds have a part of this name"] = None
    format: Annotated[str, "table or json", one_of("table", "json")] = "table"

    def execute(self, folder: Path) -> Any:
        from gptkit.command.plugins import plugins

        return plugins(self)


@dataclass
class ReportCommand(Command):
    """Compare runs, or results of gptkit eval, on one page with tables and charts."""

    verb: ClassVar[str] = "report"
    bare_words: ClassVar[str] = "runs"

    runs: Annotated[
        Any,
        "the folders of runs or of evaluations, or folders that hold them; also typed as plain words, gptkit report runs/*",
        texts,
        not_empty,
    ] = MISSING
    to: Annotated[str, "the page to write", not_empty] = "comparison.html"

    def execute(self, folder: Path) -> Any:
        from gptkit.command.report import report

        return report(self)


@dataclass
class IndexCommand(Command):
    """Index the training text of runs by word N-grams, and look up the training documents that contain parts of a text."""

    verb: ClassVar[str] = "index"
    bare_words: ClassVar[str] = "run"

    to: Annotated[str, "the folder of the index: new or empty, or a finished index", not_empty] = MISSING
    run: Annotated[
        Any, "the runs whose training text is indexed; also typed as plain words; null: `to` is a finished index", texts, not_empty
    ] = None
    n: Annotated[Any, "words of an N-gram, or a list of such numbers: 8 is GPT-2's, 13 GPT-3's; for text, one of the index"] = None
    text: Annotated[str | None, "the text to look up; @file: the file's text; null: only build the index", not_empty] = None
    format: Annotated[str, "table or json", one_of("table", "json")] = "table"

    def __post_init__(self) -> None:
        if self.run is None and self.text is None:
            raise ValueError("set run=<run> to build an index, or text=<a text> to look it up in a finished index")
        lengths = self.n if isinstance(self.n, list | tuple) else [self.n]
        if self.n is not None and not all(type(each) is int and 2 <= each <= 64 for each in lengths):
            raise ValueError(f"n={self.n} must be a whole number from 2 to 64, or a list of such numbers")
        if self.n is not None and (not lengths or len(set(lengths)) < len(lengths)):
            raise ValueError(f"n={list(lengths)} must be different numbers, at least one")

    def execute(self, folder: Path) -> Any:
        from gptkit.command.index import index

        return index(self)


@hookimpl
def gptkit_command() -> list[type[Command]]:
    return [
        TrainCommand,
        GenerateCommand,
        ChatCommand,
        PredictCommand,
        EvalCommand,
        CompareCommand,
        PlanCommand,
        ExportCommand,
        PushCommand,
        ReportCommand,
        IndexCommand,
        PluginsCommand,
    ]
