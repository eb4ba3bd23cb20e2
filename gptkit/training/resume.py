"""May this command continue that run? Everything that decides the weights must be as it was."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gptkit.atomic_io import wrap_os_errors
from gptkit.errors import ConfigError

MAY_DIFFER = (
    "save",
    "samples",
    "val.every",
    "val.sequences",
    "verify",
    "objective.sanity_checks",
    "trainer.max_time",
    "trainer.log_every_n_steps",
    "trainer.logger",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.default_root_dir",
    "trainer.profiler",
)
"""Keys, or everything under them, that may differ: time limits, logging, saving, sampling, how often and on how much of what is
held out a run is validated, and whether the sanity checks run."""

MAY_GROW = ("tokens", "epochs", "trainer.max_steps")
"""Keys that decide how long the run is; it may become longer."""

PATH_KEYS = ("path", "validation", "test", "checkpoint", "init_from")
"""Last words of keys that name files and folders, wherever in the settings they are."""

DECIDED_BY_WEIGHTS = ("model", "tokenizer", "attention")
"""What `init_from` decides: a run with another of these cannot begin with the weights."""

LISTED_DIFFERENCES = 8
"""So many differences are spelt out."""


def differences(old: Mapping[str, Any], new: Mapping[str, Any], *, fingerprinted: Iterable[str] = ()) -> list[tuple[str, str]]:
    """What keeps a run from being continued: each key that differs, with `old -> new`, in the order of the keys; length apart.

    Paths are the same where they lead to the same place.

    Args:
        old, new: settings as plain values, every default spelt out.
        fingerprinted: keys of which what they read is compared by its content (`check_same_sources`), so that it may have moved.
    """
    before, after = flatten(old), flatten(new)
    moved = tuple(f"{key}." for key in fingerprinted)
    changes = []
    for key in dict.fromkeys([*before, *after]):
        if key in MAY_GROW or any(key == free or key.startswith(f"{free}.") for free in MAY_DIFFER):
            continue
        was, now = before.get(key), after.get(key)
        if not is_same_value(key, was, now) and not (names_path(key) and key.startswith(moved)):
            changes.append((key, f"{was} -> {now}"))
    return changes


def is_same_value(key: str, one: Any, other: Any) -> bool:
    """Whether two values of a key mean the same."""
    if one == other:
        return True
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(is_same_value(key, *pair) for pair in zip(one, other, strict=True))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(is_same_value(name, one[name], other[name]) for name in one)
    return names_path(key) and isinstance(one, str) and isinstance(other, str) and resolve_path(one) == resolve_path(other)


def names_path(key: str) -> bool:
    """Whether a dotted key names a file or folder."""
    return key.rpartition(".")[2] in PATH_KEYS


def resolve_path(path: str) -> str:
    """A path from the root, without `~` and symbolic links; a prefix such as `hf:` stays."""
    scheme, colon, rest = path.rpartition("hf:")
    try:
        return f"{scheme}{colon}{Path(rest).expanduser().resolve()}"
    except (OSError, RuntimeError, ValueError):  # a loop of links, no such user, a null character
        return path


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted keys; lists stay values. A key that is None counts as absent."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        elif value is not None:
            flat[f"{prefix}{key}"] = value
    return flat


def check_same_run(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any], *, fingerprinted: Iterable[str] = ()) -> None:
    """Raise a ConfigError that lists what differs, where anything does.

    Args:
        folder: the run.
        old, new, fingerprinted: as in `differences`.
    """
    changes = differences(old, new, fingerprinted=fingerprinted)
    if not changes:
        return
    listed = "; ".join(f"{key}: {change}" for key, change in changes[:LISTED_DIFFERENCES])
    more = f"; and {len(changes) - LISTED_DIFFERENCES} more" if len(changes) > LISTED_DIFFERENCES else ""
    keeps_model = not any(key.partition(".")[0] in DECIDED_BY_WEIGHTS for key, _ in changes)
    anew = (
        f"or init_from={folder} and another hydra.run.dir to train on from its weights with these"
        if keeps_model
        else "or another hydra.run.dir to start anew"
    )
    raise ConfigError(
        f"{folder} holds a run with other settings ({listed}{more}); hydra.run.dir={folder} alone continues it with its own, {anew}"
    )


def check_same_sources(checkpoint: Path, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise a ConfigError where content, by its fingerprints, is no longer what the run has learnt from so far.

    Args:
        checkpoint: from which the run goes on.
        before, now: fingerprints by the key that names their source; only those in `now` are compared.
    """
    changed = [key for key, fingerprint in now.items() if before.get(key, fingerprint) != fingerprint]
    if changed:
        keys = " and ".join(f"{key}=" for key in changed)
        raise ConfigError(
            f"{keys}: the content has changed since {checkpoint} was written, or gptkit now mixes or splits it otherwise; put it "
            "back to continue the run, or give another hydra.run.dir to start anew (init_from=<this run> takes the weights along)"
        )


@contextlib.contextmanager
def lock_run_folder(folder: Path) -> Iterator[None]:
    """Keep every other process from training in a run folder meanwhile. A killed process frees its lock.

    Raises:
        ConfigError: another process is training there.
        GptkitError: the folder cannot be made or opened.
    """
    with wrap_os_errors(folder):
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
