"""One checkpoint: a folder of its own, written whole or not at all, and believed only after its hashes agree.

checkpoints/step-00001000/
    model.safetensors  objective.safetensors (where the objective has weights)  tokenizer/  config.yaml
    state.pt           optimizer, counters, random streams: tensors and plain values, read with weights_only
    manifest.json      sizes, SHA-256, distribution==version of every part, step, validation loss
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from gptkit.atomic_io import (
    DISK_FULL_ERRORS,
    OLD,
    WRITING,
    continue_command,
    disk_error,
    remove_path,
    replace_folder,
    sync_tree,
    wrap_os_errors,
)
from gptkit.errors import CheckpointError, ConfigError
from gptkit.run_config import RunConfig
from gptkit.tokenizer.base import Tokenizer
from gptkit.training.checkpoints import config_file
from gptkit.training.checkpoints.folder_names import checkpoint_folder
from gptkit.training.checkpoints.manifest import FILE as MANIFEST
from gptkit.training.checkpoints.manifest import (
    DamagedCheckpoint,
    Manifest,
    check_installed,
    describe_files,
    describe_hub,
    describe_parts,
    is_finite,
    read_manifest,
    to_json,
    verify,
    verify_file,
)
from gptkit.training.checkpoints.migrations import current_tensors
from gptkit.training.checkpoints.retention import list_checkpoints, list_unfinished, ranked_checkpoints, remove_old_checkpoints
from gptkit.training.checkpoints.serialization import read_state, read_tensors, write_state, write_tensors
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
        """What `write_checkpoint` was given as `state`, tensors on the CPU."""
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


def write_checkpoint(
    run: Path,
    *,
    step: int,
    model_state: Mapping[str, Tensor],
    objective_state: Mapping[str, Tensor] | None,
    state: Mapping[str, Any],
    tokenizer: Tokenizer,
    settings: RunConfig,
    keep: int,
    val_loss: float | None,
    merit: float | None,
) -> Path:
    """Write `run`/checkpoints/step-<step> and remove those that need not be kept; gives the folder.

    Args:
        run: the run folder.
        step: optimizer steps done.
        model_state: the model's state_dict, whole tensors.
        objective_state: the objective's, where it has weights.
        state: everything else that continuing needs: tensors and plain values, nested in dicts, lists and tuples.
        tokenizer: saved beside the weights, so that a checkpoint needs nothing but its folder.
        settings: the run's settings.
        keep: how many of the newest stay, the best besides; 0: all.
        val_loss: of these weights, in nats per token for `lm`; None: not validated.
        merit: what the best has least of, at the latest validation.

    Raises:
        CheckpointError: it cannot be written, as when the disk is full. The checkpoints before it are untouched.
    """
    target = checkpoint_folder(run, step)
    aside = target.with_name(f"{WRITING}{target.name}")
    try:
        remove_path(aside)
        (aside / TOKENIZER).mkdir(parents=True)
        write_tensors(aside / MODEL, model_state)
        if objective_state:
            write_tensors(aside / OBJECTIVE, objective_state)
        write_state(aside / STATE, state)
        tokenizer.save(aside / TOKENIZER)
        config_file.write_settings(aside / config_file.FILE, settings)
        manifest = Manifest(
            step=step,
            val_loss=val_loss if is_finite(val_loss) else None,
            merit=merit if is_finite(merit) else None,
            files=describe_files(aside),
            parts=describe_parts(config_file.to_plain(settings)),
            tokenizer=tokenizer.fingerprint,
            vocabulary=tokenizer.size,
            hub=describe_hub(config_file.to_plain(settings), _previous_hub_commits(run)),
        )
        (aside / MANIFEST).write_text(to_json(manifest), encoding="utf-8")
        sync_tree(aside)
        replace_folder(aside, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            remove_path(aside)
        by_the_system = isinstance(error, OSError | RuntimeError | SafetensorError) or isinstance(error.__cause__, OSError)
        if by_the_system:
            raise _write_error(target, error) from error
        raise
    remove_old_checkpoints(run, step, keep)
    return target


def _previous_hub_commits(run: Path) -> Mapping[str, str]:
    """The commits of the hub that the run's newest checkpoint holds."""
    for folder in list_checkpoints(run):
        with contextlib.suppress(CheckpointError):
            return read_manifest(folder).hub
    return {}


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


def _write_error(target: Path, error: BaseException) -> CheckpointError:
    cause = disk_error(error)
    if cause is not None and cause.errno in DISK_FULL_ERRORS:
        return CheckpointError(
            f"{target}: the disk is full, so this checkpoint was not saved; those before it are untouched. "
            f"Free some space, then {continue_command(target.parent.parent)} continues the run"
        )
    reason = (cause.strerror if cause is not None else None) or str(error).partition("\n")[0]
    return CheckpointError(f"{target}: could not be saved ({reason}); the checkpoints before it are untouched")
