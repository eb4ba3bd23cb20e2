"""One checkpoint: a folder of its own, written whole or not at all, and believed only after its hashes agree.

checkpoints/step-00001000/
    model.safetensors  objective.safetensors (where the objective has weights)  tokenizer/  config.yaml
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

MODEL, OBJECTIVE, STATE, TOKENIZER = "model.safetensors", "objective.safetensors", "state.pt", "tokenizer"

REQUIRED_PARTS = ("model", "attention", "objective", "tokenizer", "data", "optimizer")
"""The parts without which there is no run."""


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint. Each file is verified when it is asked for, so what is not asked for costs nothing."""

    folder: Path
    manifest: Manifest
    content: dict[str, Any]
    """The run's settings as plain values, parts as mappings with `name`."""

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self.manifest.step

    @property
    def val_loss(self) -> float | None:
        """The validation loss of these weights, in nats per token for `lm`; None: this step was not validated."""
        return self.manifest.val_loss

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights: of the model's and the objective's files' own."""
        weights = [self.manifest.files[name][1] for name in (MODEL, OBJECTIVE) if name in self.manifest.files]
        return hashlib.sha256(" ".join(weights).encode()).hexdigest()

    @property
    def model_state(self) -> dict[str, Tensor]:
        """The model's state_dict, on the CPU; read anew at every call."""
        return current_tensors(read_tensors(verify_file(self.folder, self.manifest, MODEL)))

    @property
    def objective_state(self) -> dict[str, Tensor]:
        """The objective's state_dict, on the CPU; empty where it has no weights."""
        if OBJECTIVE not in self.manifest.files:
            return {}
        return current_tensors(read_tensors(verify_file(self.folder, self.manifest, OBJECTIVE)))

    @property
    def state(self) -> dict[str, Any]:
        """What `write_checkpoint` received as `state`, tensors on the CPU."""
        return read_state(verify_file(self.folder, self.manifest, STATE))

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that the weights were trained with.

        Raises:
            CheckpointError: the files give another one, or none.
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
        except Exception as error:  # anybody's tokenizer reads these files, and what it raises at altered ones is its own
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise CheckpointError(f"{self.folder / TOKENIZER}: cannot be read as tokenizer={part.name} ({reason})") from error
        if built.fingerprint != self.manifest.tokenizer or built.size != self.manifest.vocabulary:
            raise CheckpointError(
                f"{self.folder / TOKENIZER}: is another tokenizer ({built.size} ids) than the weights were trained with "
                f"({self.manifest.vocabulary} ids); use the checkpoint as it was written"
            )
        return built

    @property
    def settings(self) -> RunConfig:
        """The run's settings, every part resolved.

        Raises:
            CheckpointError: a part's plugin is not installed.
        """
        check_installed(self.folder, self.manifest, self.manifest.parts)
        return config_file.settings_from(self.content, where=str(self.folder / config_file.FILE))

    def part(self, kind: str) -> Any:
        """The settings of one part, without resolving the others.

        Raises:
            CheckpointError: its plugin is not installed, or what is installed does not know its keys.
        """
        check_installed(self.folder, self.manifest, [kind])
        try:
            return config_file.part_from(kind, self.content[kind], where=str(self.folder / config_file.FILE))
        except ConfigError as error:
            _, made_with = self.manifest.parts.get(kind, ("", "another version"))
            raise CheckpointError(f"{error} (it was written with {made_with})") from error


def latest_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint of which every file is as it was written; None where there is none.

    A torn or altered one is named in a warning, and the one before it is taken.

    Raises:
        CheckpointError: there are checkpoints, and none is whole.
    """
    newest = first_intact(list_checkpoints(run), _read_intact)
    return None if newest is None else newest.folder


def best_checkpoint(run: Path) -> Path | None:
    """The whole checkpoint with the lowest merit, the newer of equals; None where none was validated."""
    best = first_intact(ranked_checkpoints(run), _read_intact)
    return None if best is None else best.folder


def read_checkpoint(path: Path) -> Checkpoint:
    """Open one checkpoint folder.

    Raises:
        DamagedCheckpoint: its manifest or settings are torn or altered; other files are verified when they are asked for.
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
    """Open one checkpoint folder whose weights, settings and tokenizer are as they were written, whatever is read of them later.

    What only continuing needs (the optimizer's state) is verified when it is asked for.

    Raises:
        DamagedCheckpoint: one is not.
    """
    checkpoint = read_checkpoint(path)
    for name in checkpoint.manifest.files:
        if name not in (STATE, config_file.FILE):
            verify_file(path, checkpoint.manifest, name)
    return checkpoint


def recover_unfinished(run: Path) -> None:
    """Remove what a killed run left of a checkpoint that it was writing or removing; one that lacked only its name gets it."""
    for aside in list_unfinished(run, WRITING):
        target = aside.with_name(aside.name.removeprefix(WRITING))
        with wrap_os_errors(aside):
            try:
                if aside.is_symlink():
                    raise DamagedCheckpoint(f"{aside}: is a link, which no run writes")
                verify(aside)
            except CheckpointError:
                remove_path(aside)
            else:
                replace_folder(aside, target)
    for old in list_unfinished(run, OLD):
        with wrap_os_errors(old):
            remove_path(old)


def first_intact(folders: Iterable[Path], open_: Callable[[Path], Checkpoint]) -> Checkpoint | None:
    """The first of these checkpoints that can be opened; None where there are none.

    Every one before it is named in a warning, with what is wrong.

    Args:
        folders: in the order in which they are wanted.
        open_: raises DamagedCheckpoint.

    Raises:
        CheckpointError: none is whole.
        FileNotFoundError: one is no longer there.
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
        raise CheckpointError(f"{damaged[-1]}; no checkpoint beside it is whole")
    return None


def _read_intact(folder: Path) -> Checkpoint:
    verify(folder)
    return read_checkpoint(folder)
