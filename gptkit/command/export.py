"""The command `export`: writes a checkpoint as a Hugging Face folder, classifiers and reward models with their heads."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from gptkit.errors import ConfigError, DataError, GptkitError
from gptkit.terminal import print_text

if TYPE_CHECKING:
    from gptkit.command import ExportCommand


def export(settings: ExportCommand) -> Path:
    """Writes the folder atomically and lists its files.

    Raises:
        ConfigError: the folder is not empty, or the format cannot express the model.
        CheckpointError: the checkpoint cannot be read.
        DataError: the folder cannot be written.
    """
    folder = Path(settings.to).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"to={settings.to}: already exists and is not empty; choose a new or empty folder")

    from gptkit.atomic_io import disk_error
    from gptkit.interop.huggingface import export_model
    from gptkit.interop.sequence_classification import export_sequence_classifier
    from gptkit.objective import AuxLMConfig, RewardModelConfig
    from gptkit.training.checkpoints.load import build_model, initial_weights, load_objective, objective_class

    weights = initial_weights(settings.checkpoint)
    has_scores = issubclass(objective_class(weights.run) or type(None), AuxLMConfig | RewardModelConfig)
    if has_scores:
        trained = load_objective(settings.checkpoint)
        model, tokenizer = trained.model, trained.tokenizer
    else:
        model, tokenizer = build_model(weights, settings.checkpoint)
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}.unfinished")
    try:
        unfinished.mkdir(parents=True)
        lacking = export_sequence_classifier(trained, unfinished) if has_scores else model.export(unfinished, tokenizer)
        has_own_format = lacking is not None
        if lacking is None:
            lacking = export_model(model, tokenizer, unfinished)
        _unify_permissions(unfinished)
        unfinished.replace(folder)
    except GptkitError:
        raise
    except Exception as error:  # Rust libraries raise their own exceptions for errors of the operating system
        if (cause := disk_error(error)) is None:
            raise
        raise DataError(f"to={settings.to}: cannot be written ({cause.strerror or cause})") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    print_text(str(folder))
    for path in sorted(folder.iterdir()):
        print_text(f"  {path.name:<24}{path.stat().st_size:>14,} bytes")
    for sentence in lacking:
        print_text(f"  {sentence}")
    if has_scores:
        print_text(f'read it with transformers.AutoModelForSequenceClassification.from_pretrained("{folder}")')
        return folder
    setting = f"model=hf model.path={folder}" if has_own_format else f"init_from=hf:{folder}"
    print_text(f'read it with transformers.AutoModelForCausalLM.from_pretrained("{folder}") or {setting}')
    return folder


def _unify_permissions(folder: Path) -> None:
    """Gives all files the permissions of a new file. safetensors creates files that only their owner can read."""
    probe = folder / ".new"
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)
