"""Errors that a user can fix. The command line prints them as one line, without a traceback."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class GptkitError(Exception):
    """An error that the user can fix. The message is one line that names the file, key or line, and the fix. Exit status 1."""

    exit_status = 1


class ConfigError(GptkitError):
    """The configuration is invalid: an unknown name, a wrong type, or values that contradict each other. Exit status 2."""

    exit_status = 2


class DataError(GptkitError):
    """The data cannot be read or used."""


class CheckpointError(GptkitError):
    """A checkpoint is incomplete, altered, unsafe, or incompatible with its use."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean x?" for the nearest known name, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else ""


def wrong_type_message(key: str, text: str) -> str:
    """Rewrite OmegaConf's message about a value of the wrong type; returns an empty string for other messages."""
    if union := re.match(r"Value '(?P<value>.*?)' of type '\w+' is incompatible with type hint '(?P<types>.*?)'", text):
        words = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a string"}
        known = [words[name] for name in re.findall(r"\w+", union["types"]) if name in words]
        return f"{key}={union['value']} must be {' or '.join(known)}"
    match = re.match(r"Value '(?P<value>.*?)' (?:of type '\w+' )?could not be converted to (?P<type>\w+)", text)
    match = match or re.match(r"Value '(?P<value>.*?)' is not a valid (?P<type>\w+)", text)
    if not match:
        return ""
    if match["value"].startswith("{"):
        return f"{key} is a value, with no keys below it: write {key}=<value>"
    descriptions = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false", "bool": "true or false"}
    return f"{key}={match['value']} must be {descriptions.get(match['type'], match['type'])}"
