"""May this command continue that run? Everything that decides the weights must be as it was."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gptkit.errors import ConfigError

FREE = (
    "save",
    "samples",
    "objective.doctor",
    "trainer.max_time",
    "trainer.log_every_n_steps",
    "trainer.logger",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.default_root_dir",
    "trainer.profiler",
)
"""Keys, or everything under them, that may differ: time limits, logging, saving, sampling, and whether a doctor looks."""

LENGTH = ("tokens", "epochs", "trainer.max_steps")
"""Keys that decide how long the run is; it may become longer."""


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What keeps a run from being continued, as `key: old -> new`, in the order of the keys; length apart."""
    before, after = flat(old), flat(new)
    found = []
    for key in dict.fromkeys([*before, *after]):
        if key in LENGTH or any(key == free or key.startswith(f"{free}.") for free in FREE):
            continue
        if before.get(key) != after.get(key):
            found.append(f"{key}: {before.get(key)} -> {after.get(key)}")
    return found


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted keys; lists stay values. A key that is None counts as absent."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{key}."))
        elif value is not None:
            found[f"{prefix}{key}"] = value
    return found


def check_same_run(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Raise a ConfigError that lists what differs, where anything does."""
    found = differences(old, new)
    if found:
        raise ConfigError(
            f"{folder} holds a run with other settings ({'; '.join(found)}); give those to continue it, "
            "or another hydra.run.dir to start anew"
        )


def check_same_sources(checkpoint: Path, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise a ConfigError where content, by its fingerprints, is no longer what the run has learnt from so far.

    Args:
        checkpoint: from which the run goes on.
        before, now: fingerprints by the key that names their source; only those in `now` are compared.
    """
    changed = [key for key, fingerprint in now.items() if before.get(key, fingerprint) != fingerprint]
    if changed:
        raise ConfigError(
            f"{' and '.join(f'{key}=' for key in changed)}: the content has changed since {checkpoint} was written; put it back to "
            "continue the run, or give another hydra.run.dir to start anew (init_from takes the weights along)"
        )


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep every other process from training in a run folder meanwhile. A killed process frees its lock.

    Raises:
        ConfigError: another process is training there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    opened = os.open(folder, os.O_RDONLY)  # the folder itself is locked, so that no file of ours stays in it
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(opened)
        raise ConfigError(f"{folder}: another process is training there; wait for it, or give another hydra.run.dir") from None
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
        os.close(opened)


def check_not_shorter(folder: Path, *, done: int, before: int, now: int) -> None:
    """Raise a ConfigError where a run would end sooner than it was meant to.

    Args:
        folder: the run.
        done: steps that its checkpoint has.
        before: the step with which it was to end.
        now: the step with which it is to end by this command.
    """
    if now < max(before, done):
        raise ConfigError(
            f"{folder} holds a run of {max(before, done)} steps, and this command asks for {now}: tokens and trainer.max_steps "
            "may only grow; give more, or another hydra.run.dir to start anew"
        )
