"""Convert overrides as typed to overrides with the same meaning that Hydra's grammar accepts.

Text values are quoted, because Hydra's grammar would reject an apostrophe and treat a comma as a sweep. The conversion is
idempotent, because Lightning starts its workers with the converted overrides.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException
from omegaconf import OmegaConf

from gptkit.config.key_suggestions import dotted_keys, matching_keys
from gptkit.config.key_types import is_integer_key, is_text_key
from gptkit.config.sweep_folders import separate_folders
from gptkit.config.yaml_files import iter_defaults, read_config_file
from gptkit.config_groups import conf_folders, groups, papers
from gptkit.errors import ConfigError
from gptkit.plugins import registry

SHRINK = "shrink"
"""The config group that must come after papers, because it overrides what they set."""


MAX_KEY_LENGTH = 200
"""Maximum length of a key in characters: keys are looked up as folder names, which file systems limit."""

MAX_JOBS = 10_000
"""Maximum number of jobs in a sweep. Each job is a process and has its own folder."""


def normalize_overrides(verb: str, overrides: list[str], *, multirun: bool) -> list[str]:
    """Return the overrides in a form that Hydra's grammar accepts, with the same meaning."""
    parser = OverridesParser.create()
    known_groups = groups()
    check_paper_order(overrides)
    expanded = [part for word in overrides for part in _expand_reward_run(word, known_groups)]
    expanded = _add_task_source(verb, expanded)
    normalized = [_normalize_override(verb, word, parser, known_groups, multirun) for word in expanded]
    if multirun:
        check_sweep_size(normalized)
        return separate_folders(verb, normalized)
    return normalized


def collect_bare_words(verb: str, overrides: list[str]) -> list[str]:
    """Turn plain words, such as the folders that a shell makes of `runs/*`, into an override of the verb's key for them.

    A word with an equals sign is plain if it names a file or folder and no key of the verb.

    Raises:
        ConfigError: the key is given as an override, too.
    """
    command = registry().parts["command"][verb].part
    if not command.bare_words:
        return overrides
    keys = {field.name for field in dataclasses.fields(command)}

    def is_plain(word: str) -> bool:
        key, equals, _ = word.partition("=")
        return (not equals and not word.startswith("~")) or (key not in keys and os.path.lexists(word))

    words = [word for word in overrides if is_plain(word)]
    others = [word for word in overrides if not is_plain(word)]
    if not words:
        return others
    given = next((word for word in others if word.lstrip("+").startswith(f"{command.bare_words}=")), None)
    if given is not None:
        raise ConfigError(f"{given} and {words[0]} both say what to read; give {command.bare_words}=[...] or plain words, not both")
    values = ",".join(quote(escape_interpolations(verb, word)) for word in words)
    return [f"{command.bare_words}=[{values}]", *others]


def check_paper_order(overrides: list[str]) -> None:
    """Check that papers come before `+shrink=`. Configurations from a user's own folder may come after it.

    Raises:
        ConfigError: a paper of gptkit or of a plugin comes after `+shrink=`.
    """
    provided = {group for group in papers() if any((folder / group).is_dir() for _, folder in conf_folders())}
    shrink = ""
    for word in overrides:
        group = word.removeprefix("+").partition("=")[0] if word.startswith("+") else ""
        if group == SHRINK:
            shrink = word
        elif shrink and group in provided:
            raise ConfigError(f"{shrink} overrides what comes before it, so {word} must not come after it: write {word} {shrink}")


def _expand_reward_run(word: str, known_groups: dict[str, list[str]]) -> list[str]:
    """Expand `reward=runs/rm` to `reward=model reward.checkpoint=runs/rm`; leaves other overrides unchanged."""
    key, _, value = word.partition("=")
    if key != "reward" or value in known_groups["reward"] or "," in value or not ("/" in value or Path(value).is_dir()):
        return [word]
    return ["reward=model", f"reward.checkpoint={value}"]


def _add_task_source(verb: str, words: list[str]) -> list[str]:
    """Add the source of `data.<key>` to an evaluation: the one that the task declares, or `folder` for `data.root`.

    `task=choice data.path=x` becomes `data=choices task=choice data.path=x`.
    """
    keys = {field.name for field in dataclasses.fields(registry().parts["command"][verb].part)}
    chosen = {key: value for key, _, value in (word.lstrip("+").partition("=") for word in words)}
    if not {"task", "data"} <= keys or "data" in chosen or not any(key.startswith("data.") for key in chosen):
        return words
    if "data.root" in chosen:
        return ["data=folder", *words]
    tasks = registry().parts["task"]
    names = [_task_of_file(name) for name in chosen.get("task", "").split(",")]
    sources = {tasks[name].part.source for name in names if name in tasks}
    return [f"data={sources.pop()}", *words] if len(sources) == 1 and "" not in sources else words


def _task_of_file(name: str) -> str:
    """Return the task that a file of the user's folder begins with (`defaults: [custom]` in task/quiz.yaml); others unchanged."""
    if name in registry().parts["task"] or not name:
        return name
    defaults = iter_defaults(read_config_file(f"task/{name}"), "task")
    return next((option for group, option, _ in defaults if group == "task"), name)


def _normalize_override(verb: str, word: str, parser: OverridesParser, known_groups: dict[str, list[str]], multirun: bool) -> str:
    match = re.match(r"(?P<mark>\+{0,2}|~)(?P<key>[\w./@:-]+)=(?P<value>.*)$", word, re.DOTALL)
    if match is None:
        if not word.startswith("~"):
            raise ConfigError(f"{word!r} is not an override; write {_suggest_override(verb, word)}")
        return word
    key, value = match["key"], match["value"]
    if len(key) > MAX_KEY_LENGTH:
        raise ConfigError(f"the key {key[:40]}... has {len(key):,} characters; the longest key has at most {MAX_KEY_LENGTH}")
    head = f"{match['mark']}{key}="
    if key in known_groups:
        if word == "logger=null":  # Hydra's grammar has no null for a group
            return "~logger"
        _check_options(key, value)
        return word
    if _is_nested_too_deeply(value):  # Hydra and OmegaConf would exceed the recursion limit
        if not is_text_key(verb, key):
            raise ConfigError(f"{key}={value[:20]}... is nested too deeply")
        return head + quote(escape_interpolations(verb, value))
    try:
        parsed: Override | None = parser.parse_override(word)
    except HydraException:
        parsed = None
    except ValueError as error:  # Python refuses to parse integers of thousands of digits
        if not is_text_key(verb, key):
            raise ConfigError(f"{key}={value[:20]}... must fit in 64 bits") from error
        parsed = None
    if is_text_key(verb, key):
        if parsed is not None and (isinstance(parsed._value, QuotedString) or value == "null"):
            return word
        if parsed is not None and multirun and parsed.is_sweep_override():
            return word
        return head + quote(escape_interpolations(verb, value))
    if parsed is None:
        return word if value[:1] in "[{'\"" else head + quote(value)
    if is_integer_key(verb, key) and (whole := _format_integer(parsed._value)) is not None:
        return head + whole
    return word


def _check_options(group: str, value: str) -> None:
    """Raise `ConfigError` if the value names no option of a group, alone or in a list."""
    options = [option.strip().lower() for option in value.removeprefix("[").removesuffix("]").split(",")]
    if value != "[]" and not {"", "null", "true", "false"}.isdisjoint(options):
        raise ConfigError(f"{group}={value} chooses no option; to remove a part, write ~{group}")


def _is_nested_too_deeply(value: str) -> bool:
    """Whether lists and mappings are nested more deeply than any setting needs."""
    depth = deepest = 0
    for letter in value:
        depth += (letter in "[{(") - (letter in ")}]")
        deepest = max(deepest, depth)
    return deepest > 30


def _format_integer(value: object) -> str | None:
    """Format a number such as 1e5, or a sweep over such numbers, as integers; None for anything else."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    if isinstance(value, ChoiceSweep) and value.simple_form:
        each = [_format_integer(float(one)) if isinstance(one, int | float) else None for one in value.list]
        return ",".join(one for one in each if one is not None) if None not in each else None
    if isinstance(value, RangeSweep) and not value.shuffle:
        bounds = [None if bound is None else _format_integer(float(bound)) for bound in (value.start, value.stop, value.step)]
        return f"range({','.join(bound for bound in bounds if bound is not None)})" if None not in bounds else None
    return None


def escape_interpolations(verb: str, text: str) -> str:
    """Escape every `${` that refers neither to a key of the verb nor to a resolver of OmegaConf or Hydra."""
    keys = {field.name for field in dataclasses.fields(registry().parts["command"][verb].part)} | {"hydra"}

    def escape(match: re.Match[str]) -> str:
        name = match["name"]
        known = OmegaConf.has_resolver(name) if match["colon"] else name.partition(".")[0] in keys
        return match[0] if known else "\\" + match[0]

    return re.sub(r"(?<!\\)\$\{(?P<name>[\w.]*)(?P<colon>:?)", escape, text)


def quote(value: str) -> str:
    """Quote any text for Hydra's grammar."""
    return QuotedString(text=value, quote=Quote.single).with_quotes()


def _suggest_override(verb: str, word: str) -> str:
    """Return what the user should write instead of a word without `=`."""
    keys = [word] if word in dotted_keys(verb) else matching_keys(verb, word)
    return f"{keys[0]}=<value>" if keys else "key=value, for example model.layers=12"


def check_sweep_size(words: Sequence[str]) -> None:
    """Check that a sweep has at least one job, and at most `MAX_JOBS`. Sweepers that do not enumerate all values may exceed it.

    Args:
        words: the overrides in Hydra's grammar.

    Raises:
        ConfigError: a sweep has no values, or more than `MAX_JOBS` jobs.
    """
    enumerates = not any(word.lstrip("+").startswith("hydra/sweeper=") for word in words)
    jobs, largest, largest_count = 1.0, "", 0.0
    for word in words:
        try:
            override = OverridesParser.create().parse_override(word)
        except (HydraException, ValueError):
            continue  # reported where the override is parsed
        if not override.is_sweep_override():
            continue
        count = _count_values(override.key_or_group, override.value())
        if not count:
            raise ConfigError(f"{word} has no values, so the sweep would have no jobs")
        jobs *= count
        largest, largest_count = (word, count) if count > largest_count else (largest, largest_count)
    if enumerates and jobs > MAX_JOBS:
        raise ConfigError(
            f"a sweep of {jobs:,.0f} jobs is too large ({largest} has {largest_count:,.0f} values): at most {MAX_JOBS:,}"
        )


def _count_values(key: str, value: Any) -> float:
    """Count the values that a sweep over one key takes. Intervals, which only some sweepers read, count as one."""
    if isinstance(value, ChoiceSweep):
        return len(value.list)
    if isinstance(value, Glob):
        options = groups().get(key)
        if options is None:
            raise ConfigError(f"{key}=glob(...) requires a group, and {key} is not a group")
        return sum(
            any(fnmatch.fnmatch(option, pattern) for pattern in value.include)
            and not any(fnmatch.fnmatch(option, pattern) for pattern in value.exclude)
            for option in options
        )
    if isinstance(value, RangeSweep):
        start, stop, step = (float(0 if bound is None else bound) for bound in (value.start, value.stop, value.step))
        if not step or not all(map(math.isfinite, (start, stop, step))):
            raise ConfigError(f"{key}=range({start:g},{stop:g},{step:g}) is infinite; its step must lead from start to stop")
        return max(0, math.ceil((stop - start) / step))
    return 1
