"""Reads a checkpoint: one folder, which is written atomically and whose files are used only after their hashes are verified.

checkpoints/step-00001000/
    model.safetensors  objective.safetensors (if the objective has weights)  tokenizer/  config.yaml
    adapter.safetensors (of a run with an adapter, instead of model.safetensors)
    state.pt           optimizer, counters, random streams: tensors and plain values, read with weights_only
    manifest.json      sizes, SHA-256, distribution==version of every part, step, validation loss
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from gptkit.atomic_io import OLD, WRITING, remove_path, replace_folder, wrap_os_errors
from gptkit.errors import CheckpointError, ConfigError
from gptkit.run_config import RunConfig
from gptkit.tokenizer.base import Tokenizer
from gptkit.training.checkpoints import config_file
from gptkit.training.checkpoints.manifest import DamagedCheckpoint, Manifest, check_installed, read_manifest, verify, verify_file
from gptkit.training.checkpoints.migrations import current_tensors
from gptkit.training.checkpoints.retention import list_checkpoints, list_unfinished, ranked_checkpoints
from gptkit.training.checkpoints.serialization import read_state, read_tensors
from gptkit.training.reporting.fault_tolerance import warn_once

MODEL, ADAPTER = "model.safetensors", "adapter.safetensors"
OBJECTIVE, STATE, TOKENIZER = "objective.safetensors", "state.pt", "tokenizer"

REQUIRED_PARTS = ("model", "attention", "objective", "tokenizer", "data", "optimizer")
"""The parts that every run has."""


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint. Each file is verified when it is read."""

    folder: Path
    manifest: Manifest
    content: dict[str, Any]
    """The run's settings as plain values, parts as mappings with `name`."""

    @property
    def step(self) -> int:
        """The number of completed steps."""
        return self.manifest.step

    @property
    def val_loss(self) -> float | None:
        """The validation loss of these weights, in nats per token for `lm`; None: this step was not validated."""
        return self.manifest.val_loss

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights, computed from the hashes of the model's and the objective's files, and of an adapter's base."""
        weights = [self.manifest.files[name][1] for name in (MODEL, ADAPTER, OBJECTIVE) if name in self.manifest.files]
        if self.manifest.base is not None:
            weights.append(self.manifest.base.fingerprint)
        return hashlib.sha256(" ".join(weights).encode()).hexdigest()

    @property
    def model_state(self) -> dict[str, Tensor]:
        """The model's state_dict, or the part of it that belongs to its adapter, on the CPU. Every access reads the file again."""
        name = MODEL if self.manifest.base is None else ADAPTER
        return current_tensors(read_tensors(verify_file(self.folder, self.manifest, name)))

    @property
    def objective_state(self) -> dict[str, Tensor]:
        """The objective's state_dict, on the CPU; empty if it has no weights."""
        if OBJECTIVE not in self.manifest.files:
            return {}
        return current_tensors(read_tensors(verify_file(self.folder, self.manifest, OBJECTIVE)))

    @property
    def state(self) -> dict[str, Any]:
        """The `state` that was passed to `write_checkpoint`, with tensors on the CPU."""
        return read_state(verify_file(self.folder, self.manifest, STATE))

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer with which the weights were trained.

        Raises:
            CheckpointError: the files hold another tokenizer, or cannot be read.
        """
        for name in self.manifest.files:
            if name.startswith(f"{TOKENIZER}/"):
                verify_file(self.folder, self.manifest, name)
        for path in sorted((self.folder / TOKENIZER).rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if name not in self.manifest.files and not path.name.startswith(".") and not path.is_dir():
                raise DamagedCheckpoint(f"{path}: was not written with this checkpoint")
        part = self.part("tokenizer")
        try:
            built: Tokenizer = part.load(self.folder / TOKENIZER)
        except Exception as error:  # a third-party tokenizer may raise any exception when files are altered
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise CheckpointError(f"{self.folder / TOKENIZER}: cannot be read as tokenizer={part.name} ({reason})") from error
        if built.fingerprint != self.manifest.tokenizer or built.size != self.manifest.vocabulary:
            raise CheckpointError(
                f"{self.folder / TOKENIZER}: is not the tokenizer with which the weights were trained ({built.size} ids instead of "
                f"{self.manifest.vocabulary}); restore the original files"
            )
        return built

    @property
    def settings(self) -> RunConfig:
        """The run's settings, with all parts resolved. Loggers, which need not be installed to use a checkpoint, are left out.

        Raises:
            CheckpointError: the plugin of a part is not installed.
        """
        check_installed(self.folder, self.manifest, [key for key in self.manifest.parts if not key.startswith("logger.")])
        content = {**self.content, "logger": {}}
        return config_file.settings_from(content, where=str(self.folder / config_file.FILE))

    def part(self, kind: str) -> Any:
        """Return the settings of one part, without resolving the others.

        Raises:
            CheckpointError: the plugin of the part is not installed, or the installed version does not have its keys.
        """
        check_installed(self.folder, self.manifest, [kind])
        try:
            return config_file.part_from(kind, self.content[kind], where=str(self.folder / config_file.FILE))
        except ConfigError as error:
            _, distribution = self.manifest.parts.get(kind, ("", "another version"))
            raise CheckpointError(f"{error} (it was written with {distribution})") from error


def latest_checkpoint(run: Path) -> Path | None:
    """Return the folder of the newest intact checkpoint; None if there is no checkpoint.

    Damaged checkpoints are skipped with a warning.

    Raises:
        CheckpointError: there are checkpoints, and none is intact.
    """
    newest = first_intact(list_checkpoints(run), _read_intact)
    return None if newest is None else newest.folder


def best_checkpoint(run: Path) -> Path | None:
    """Return the intact checkpoint with the lowest `value_to_minimize`, and the newest of equals; None if none was validated."""
    best = first_intact(ranked_checkpoints(run), _read_intact)
    return None if best is None else best.folder


def read_checkpoint(path: Path) -> Checkpoint:
    """Open a checkpoint folder. Files other than the manifest and the settings are verified when they are read.

    Raises:
        DamagedCheckpoint: the manifest or the settings are incomplete or altered.
    """
    manifest = read_manifest(path)
    config = verify_file(path, manifest, config_file.FILE)
    try:
        content = config_file.read_mapping(config)
    except CheckpointError as error:
        raise DamagedCheckpoint(str(error)) from error
    missing = [kind for kind in REQUIRED_PARTS if content.get(kind) is None]
    if missing:
        raise DamagedCheckpoint(f"{config}: has no {missing[0]}")
    return Checkpoint(path, manifest, content)


def read_verified_checkpoint(path: Path) -> Checkpoint:
    """Open a checkpoint folder, and verify weights, settings and tokenizer at once.

    The training state, which only resuming needs, is verified when it is read.

    Raises:
        DamagedCheckpoint: a file is missing, incomplete or altered.
    """
    checkpoint = read_checkpoint(path)
    for name in checkpoint.manifest.files:
        if name not in (STATE, config_file.FILE):
            verify_file(path, checkpoint.manifest, name)
    return checkpoint


def recover_unfinished(run: Path) -> None:
    """Clean up after a run that was killed while it wrote or removed a checkpoint.

    A checkpoint that was written completely, but not renamed yet, is renamed. Other unfinished folders are removed.
    """
    for unfinished in list_unfinished(run, WRITING):
        target = unfinished.with_name(unfinished.name.removeprefix(WRITING))
        with wrap_os_errors(unfinished):
            try:
                if unfinished.is_symlink():
                    raise DamagedCheckpoint(f"{unfinished}: is a link, which no run writes")
                verify(unfinished)
            except CheckpointError:
                remove_path(unfinished)
            else:
                replace_folder(unfinished, target)
    for old in list_unfinished(run, OLD):
        with wrap_os_errors(old):
            remove_path(old)


def first_intact(folders: Iterable[Path], open_: Callable[[Path], Checkpoint]) -> Checkpoint | None:
    """Return the first of these checkpoints that is intact; None if `folders` is empty.

    Each damaged checkpoint before it is named in a warning.

    Args:
        folders: checkpoint folders in order of preference.
        open_: opens a folder; raises `DamagedCheckpoint` if it is damaged.

    Raises:
        CheckpointError: none is intact.
        FileNotFoundError: a folder no longer exists.
    """
    damaged: list[DamagedCheckpoint] = []
    for folder in folders:
        try:
            checkpoint = open_(folder)
        except DamagedCheckpoint as error:
            if not os.path.lexists(folder):
                raise FileNotFoundError(folder) from error
            damaged.append(error)
            continue
        for damage in damaged:
            warn_once(f"{damage}; using {folder.name} instead")
        return checkpoint
    if damaged:
        raise CheckpointError(f"{damaged[-1]}; no other checkpoint is intact")
    return None


def _read_intact(folder: Path) -> Checkpoint:
    verify(folder)
    return read_checkpoint(folder)
