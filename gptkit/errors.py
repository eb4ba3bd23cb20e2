"""Errors that a user can mend. The command line prints them as one line, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GptkitError(Exception):
    """Something the user can mend: one line that names the file, key or line, and the way out. Exit status 1."""

    exit_status = 1


class ConfigError(GptkitError):
    """The configuration is wrong: an unknown name, a wrong type, values that do not fit each other. Exit status 2."""

    exit_status = 2


class DataError(GptkitError):
    """The data cannot be read or used."""


class CheckpointError(GptkitError):
    """A checkpoint is torn, altered, unsafe, or does not fit what it is used for."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' Did you mean x?' for the nearest known name, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else ""
