"""One checkpoint: a folder of its own, written whole or not at all, and believed only after its hashes agree.

checkpoints/step-00001000/
    model.safetensors  objective.safetensors (where the objective has weights)  tokenizer/  config.yaml
    state.pt           optimizer, counters, random streams: tensors and plain values, read with weights_only
    manifest.json      sizes, SHA-256, distribution==version of every part, step, validation loss
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from gptkit.command import Training
from gptkit.errors import CheckpointError, ConfigError
from gptkit.tokenizer.built import BuiltTokenizer
from gptkit.training.checkpoints import settings_file
from gptkit.training.checkpoints.durable import FULL, disk_error, replace_folder, sync_tree
from gptkit.training.checkpoints.kept import FOLDER, by_merit, checkpoints, folder_of, remove_old
from gptkit.training.checkpoints.manifest import FILE as MANIFEST
from gptkit.training.checkpoints.manifest import (
    DamagedCheckpoint,
    Manifest,
    check_installed,
    describe_files,
    describe_parts,
    finite,
    read_manifest,
    to_json,
    verify,
    verify_file,
)
from gptkit.training.checkpoints.migrations import current_tensors
from gptkit.training.checkpoints.tensor_files import read_state, read_tensors, write_state, write_tensors

MODEL, OBJECTIVE, STATE, TOKENIZER = "model.safetensors", "objective.safetensors", "state.pt", "tokenizer"

_log = logging.getLogger("gptkit")


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
    def tokenizer(self) -> BuiltTokenizer:
        """The tokenizer that the weights were trained with.

        Raises:
            CheckpointError: the files give another one.
        """
        for name in self.manifest.files:
            if name.startswith(f"{TOKENIZER}/"):
                verify_file(self.folder, self.manifest, name)
        built: BuiltTokenizer = self.part("tokenizer").load(self.folder / TOKENIZER)
        if built.fingerprint != self.manifest.tokenizer or built.size != self.manifest.vocabulary:
            raise CheckpointError(
                f"{self.folder / TOKENIZER}: is another tokenizer ({built.size} ids) than the weights were trained with "
                f"({self.manifest.vocabulary} ids); use the checkpoint as it was written"
            )
        return built

    @property
    def settings(self) -> Training:
        """The run's settings, every part resolved.

        Raises:
            CheckpointError: a part's plugin is not installed.
        """
        check_installed(self.folder, self.manifest, self.manifest.parts)
        settings = settings_file.settings_from(self.content, where=str(self.folder / settings_file.FILE))
        assert isinstance(settings, Training)
        return settings

    def part(self, kind: str) -> Any:
        """The settings of one part, without resolving the others.

        Raises:
            CheckpointError: its plugin is not installed, or what is installed does not know its keys.
        """
        check_installed(self.folder, self.manifest, [kind])
        try:
            return settings_file.part_from(kind, self.content[kind], where=str(self.folder / settings_file.FILE))
        except ConfigError as error:
            made_with = self.manifest.parts[kind][1]
            raise CheckpointError(f"{error} (it was written with {made_with})") from error


def write_checkpoint(
    run: Path,
    *,
    step: int,
    model_state: Mapping[str, Tensor],
    objective_state: Mapping[str, Tensor] | None,
    state: Mapping[str, Any],
    tokenizer: BuiltTokenizer,
    settings: Training,
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
    target = folder_of(run, step)
    aside = target.with_name(f".writing-{target.name}")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        (aside / TOKENIZER).mkdir(parents=True)
        write_tensors(aside / MODEL, model_state)
        if objective_state:
            write_tensors(aside / OBJECTIVE, objective_state)
        write_state(aside / STATE, state)
        tokenizer.save(aside / TOKENIZER)
        settings_file.write_settings(aside / settings_file.FILE, settings)
        manifest = Manifest(
            step=step,
            val_loss=val_loss if finite(val_loss) else None,
            merit=merit if finite(merit) else None,
            files=describe_files(aside),
            parts=describe_parts(settings_file.plain(settings)),
            tokenizer=tokenizer.fingerprint,
            vocabulary=tokenizer.size,
        )
        (aside / MANIFEST).write_text(to_json(manifest), encoding="utf-8")
        sync_tree(aside)
        replace_folder(aside, target)
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise _cannot_write(target, error) from error
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    remove_old(run, step, keep)
    return target


def latest_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint of which every file is as it was written; None where there is none.

    A torn or altered one is named in a warning, and the one before it is taken.

    Raises:
        CheckpointError: there are checkpoints, and none is whole.
    """
    return _first_whole(checkpoints(run))


def best_checkpoint(run: Path) -> Path | None:
    """The whole checkpoint with the lowest merit, the newer of equals; None where none was validated."""
    return _first_whole(by_merit(run))


def read_checkpoint(path: Path) -> Checkpoint:
    """Open one checkpoint folder.

    Raises:
        DamagedCheckpoint: its manifest or settings are torn or altered; other files are verified when they are asked for.
    """
    manifest = read_manifest(path)
    content = settings_file.read_mapping(verify_file(path, manifest, settings_file.FILE))
    return Checkpoint(path, manifest, content)


def clean(run: Path) -> None:
    """Remove what a killed run left of a checkpoint that it was writing or removing; one that lacked only its name gets it."""
    folder = run / FOLDER
    for aside in folder.glob(".writing-step-*") if folder.is_dir() else []:
        target = folder / aside.name.removeprefix(".writing-")
        try:
            verify(aside)
        except CheckpointError:
            shutil.rmtree(aside, ignore_errors=True)
        else:
            replace_folder(aside, target)
    for old in folder.glob(".old-step-*") if folder.is_dir() else []:
        shutil.rmtree(old, ignore_errors=True)


def warn_of(error: DamagedCheckpoint) -> None:
    """Say that a damaged checkpoint was passed over."""
    _log.warning("warning: %s; using the one before it", error)


def _first_whole(folders: Iterable[Path]) -> Path | None:
    damage: DamagedCheckpoint | None = None
    for folder in folders:
        try:
            verify(folder)
        except DamagedCheckpoint as error:
            if damage is not None:
                warn_of(damage)
            damage = error
            continue
        if damage is not None:
            warn_of(damage)
        return folder
    if damage is not None:
        raise CheckpointError(f"{damage}; no checkpoint beside it is whole")
    return None


def _cannot_write(target: Path, error: BaseException) -> CheckpointError:
    cause = disk_error(error)
    if cause is not None and cause.errno in FULL:
        return CheckpointError(
            f"{target}: the disk is full, so this checkpoint was not saved; those before it are untouched. "
            "Free some space and run the same command again"
        )
    reason = (cause.strerror if cause is not None else None) or str(error).partition("\n")[0]
    return CheckpointError(f"{target}: could not be saved ({reason}); the checkpoints before it are untouched")
