"""How many jobs the words of a sweep make: none at all, or more than a person means, is a slip of the keyboard."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, RangeSweep
from hydra.errors import HydraException

from gptkit.config_groups import groups
from gptkit.errors import ConfigError

MOST = 10_000
"""Jobs of one sweep; every one is a process and a folder of its own."""


def check_sweep(words: Sequence[str]) -> None:
    """See that a sweep has jobs, and not too many. Where a sweeper of its own is chosen, ranges are not walked and may be long.

    Args:
        words: the overrides, as Hydra's grammar accepts them.

    Raises:
        ConfigError: a sweep has no value to take, or all of them together make more than `MOST` jobs.
    """
    walks = not any(word.lstrip("+").startswith("hydra/sweeper=") for word in words)
    jobs, longest, most = 1.0, "", 0.0
    for word in words:
        try:
            override = OverridesParser.create().parse_override(word)
        except (HydraException, ValueError):
            continue  # told by who reads it
        if not override.is_sweep_override():
            continue
        count = _count(override.key_or_group, override.value())
        if not count:
            raise ConfigError(f"{word} has no value to sweep over, so there would be no job")
        jobs *= count
        longest, most = (word, count) if count > most else (longest, most)
    if walks and jobs > MOST:
        raise ConfigError(f"a sweep of {jobs:,.0f} jobs is too much ({longest} has {most:,.0f} values): at most {MOST:,}")


def _count(key: str, value: Any) -> float:
    """The values that a sweep over one key takes; intervals, which only some sweepers read, count as one."""
    if isinstance(value, ChoiceSweep):
        return len(value.list)
    if isinstance(value, Glob):
        options = groups().get(key)
        if options is None:
            raise ConfigError(f"{key}=glob(...) chooses among the options of a group, and {key} is no group")
        return sum(
            any(fnmatch.fnmatch(option, pattern) for pattern in value.include)
            and not any(fnmatch.fnmatch(option, pattern) for pattern in value.exclude)
            for option in options
        )
    if isinstance(value, RangeSweep):
        start, stop, step = (float(0 if bound is None else bound) for bound in (value.start, value.stop, value.step))
        if not step or not all(map(math.isfinite, (start, stop, step))):
            raise ConfigError(f"{key}=range({start:g},{stop:g},{step:g}) has no end; its step must lead from start to stop")
        return max(0, math.ceil((stop - start) / step))
    return 1
