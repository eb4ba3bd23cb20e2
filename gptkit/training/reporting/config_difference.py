"""The keys in which the configurations of several runs differ, and their values as short texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

ABSENT = "-"
"""Shown for a key that a run does not have."""

WITHOUT_EFFECT = ("logger.", "trainer.profiler")
"""The beginnings of keys that have no effect on a run and are not compared."""


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the values of nested settings as texts, by dotted key. Lists are single values."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = _as_text(value)
    return flat


def _as_text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_as_text, value))}]"
    return str(value)


def differing_keys(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the keys whose values are not the same everywhere, in the order in which they appear, except loggers and profilers.

    Args:
        settings: flat settings of each run; empty ones (of a run whose configuration cannot be read) are ignored.
    """
    known = [each for each in settings if each]
    keys = dict.fromkeys(key for each in known for key in each if not key.startswith(WITHOUT_EFFECT))
    return [key for key in keys if len({each.get(key, ABSENT) for each in known}) > 1]


def round_numbers(values: Sequence[str]) -> list[str]:
    """Shorten long numbers, such as those of a search over an interval, to four digits, or as many as keep them distinct."""
    distinct = set(values)
    for digits in range(4, 17):
        shown = {value: _round(value, digits) for value in distinct}
        if len(set(shown.values())) == len(distinct):
            return [shown[value] for value in values]
    return list(values)


def _round(value: str, digits: int) -> str:
    """Round a number whose mantissa has more digits; leaves other texts unchanged."""
    try:
        number = float(value)
    except ValueError:
        return value
    mantissa = value.lower().partition("e")[0].lstrip("+-").replace(".", "").replace("_", "").strip().lstrip("0")
    if not math.isfinite(number) or len(mantissa) <= digits or "." not in value:
        return value
    return f"{number:.{digits}g}"
