"""The command `export`: writes a checkpoint as a Hugging Face folder, classifiers and reward models with their heads."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gptkit.errors import ConfigError, DataError, GptkitError
from gptkit.terminal import print_text

if TYPE_CHECKING:
    from gptkit.chat_template.base import ChatTemplate
    from gptkit.command import ExportCommand
    from gptkit.model.base import Model
    from gptkit.objective.base import TrainedModel
    from gptkit.tokenizer.base import Tokenizer


@dataclass(frozen=True)
class ExportedFolder:
    """What a Hugging Face folder holds, and how it is read."""

    remarks: list[str]
    """The input format of a classifier, and what the folder lacks, in sentences."""

    auto_class: str
    """The class of transformers that reads it."""

    gptkit_key: str
    """The keys with which gptkit reads it, up to the folder's name; empty: gptkit does not read it."""

    def usage(self, name: str) -> str:
        """One line: how to read the folder, or the model of the hub, of this name."""
        gptkit = f" or {self.gptkit_key}{name}" if self.gptkit_key else ""
        return f'read it with transformers.{self.auto_class}.from_pretrained("{name}"){gptkit}'


def export(settings: ExportCommand) -> Path:
    """Write the folder atomically and list its files.

    Raises:
        ConfigError: the folder is not empty, or the format cannot express the model.
        CheckpointError: the checkpoint cannot be read.
        DataError: the folder cannot be written.
    """
    folder = Path(settings.to).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"to={settings.to}: already exists and is not empty; choose a new or empty folder")

    loaded = load_for_export(settings.checkpoint)
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}.unfinished")
    try:
        with wrap_disk_errors(f"to={settings.to}"):
            unfinished.mkdir(parents=True)
            exported = write_export(loaded, unfinished)
            unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    print_text(str(folder))
    for path in sorted(folder.iterdir()):
        print_text(f"  {path.name:<24}{path.stat().st_size:>14,} bytes")
    for sentence in exported.remarks:
        print_text(f"  {sentence}")
    print_text(exported.usage(str(folder)))
    return folder


@contextlib.contextmanager
def wrap_disk_errors(place: str, fix: str = "") -> Iterator[None]:
    """Convert errors of the operating system while a model is written to a `DataError` that names the place.

    Libraries in Rust raise such errors as exceptions of their own.
    """
    from gptkit.atomic_io import disk_error

    try:
        yield
    except GptkitError:
        raise
    except Exception as error:
        if (cause := disk_error(error)) is None:
            raise
        raise DataError(f"{place}: cannot be written ({cause.strerror or cause}){fix}") from error


@dataclass(frozen=True)
class LoadedModel:
    """What is exported."""

    model: TrainedModel | tuple[Model, Tokenizer]
    """The model and its tokenizer, with the objective's head where that is exported, too."""

    is_run: bool
    """Whether a run of gptkit trained it, so that its chat template is known."""

    chat_template: ChatTemplate | None
    """The template with which the run trained."""


def load_for_export(checkpoint: str) -> LoadedModel:
    """Load the model of a checkpoint.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    from gptkit.chat_template.choice import trained_config
    from gptkit.objective import AuxLMConfig, RewardModelConfig
    from gptkit.training.checkpoints.load import build_model, initial_weights, load_objective, objective_class

    weights = initial_weights(checkpoint)
    if issubclass(objective_class(weights.run) or type(None), AuxLMConfig | RewardModelConfig):
        loaded: TrainedModel | tuple[Model, Tokenizer] = load_objective(checkpoint)
    else:
        loaded = build_model(weights, checkpoint)
    config = trained_config(weights.run)
    template = None if config is None else config.build(tokenizer=weights.tokenizer)
    return LoadedModel(loaded, bool(weights.run), template)


def write_export(source: LoadedModel, folder: Path) -> ExportedFolder:
    """Write what transformers reads into an empty folder.

    Raises:
        ConfigError: the format cannot express the model.
    """
    from gptkit.interop.chat_templates import write_chat_template
    from gptkit.interop.huggingface import export_model
    from gptkit.interop.sequence_classification import export_sequence_classifier

    loaded = source.model
    if not isinstance(loaded, tuple):
        exported = ExportedFolder(export_sequence_classifier(loaded, folder), "AutoModelForSequenceClassification", "")
    else:
        model, tokenizer = loaded
        remarks = model.export(folder, tokenizer)
        if remarks is None:
            remarks = export_model(model, tokenizer, folder)
        exported = ExportedFolder(remarks, "AutoModelForCausalLM", "init_from=hf:")
    if source.is_run:
        write_chat_template(folder, source.chat_template)
    _unify_permissions(folder)
    return exported


def _unify_permissions(folder: Path) -> None:
    """Give all files the permissions of a new file. safetensors creates files that only their owner can read."""
    probe = folder / ".new"
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)
