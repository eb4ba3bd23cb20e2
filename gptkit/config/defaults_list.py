"""Determine from defaults lists which parts a command line chooses, and which values the files of `conf/` set.

The help pages use this module because importing Hydra is slow. Hydra composes every run; a test compares the two results.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gptkit.config.yaml_files import check_user_files, iter_defaults, read_config_file
from gptkit.config_groups import conflicting_files, groups, papers, presets
from gptkit.errors import ConfigError, did_you_mean
from gptkit.plugin_discovery import install_hint
from gptkit.plugins import registry


@dataclass
class Selection:
    """The options that a command line chooses, and the values that its files set."""

    options: dict[str, str] = field(default_factory=dict)
    """Kind -> the chosen part or preset."""
    values: dict[str, Any] = field(default_factory=dict)
    """Dotted key -> the value that a preset or paper sets."""

    def part(self, kind: str) -> type[Any] | None:
        """Return the config class of a kind's option, or of the part that a preset extends; None if none is chosen."""
        option, seen = self.options.get(kind, "null"), set()
        while option not in registry().parts[kind]:
            if option == "null" or option in seen:
                return None
            seen.add(option)
            option = next(
                (option for group, option, _ in iter_defaults(read_config_file(f"{kind}/{option}"), kind) if group == kind), "null"
            )
        return registry().parts[kind][option].part


def read_selection(verb: str, words: Sequence[str]) -> Selection:
    """Return what a verb's configuration, papers (`+gpt2=124m`) and overrides (`model=lstm`) choose and set, in that order.

    Raises:
        ConfigError: an override chooses an option that does not exist.
    """
    known, paper_groups = groups(), {**papers(), **presets(verb)}
    pairs = [(key.lstrip("+"), values) for key, _, values in (word.partition("=") for word in words)]
    typed = [(key, value) for key, values in pairs if key in known for value in values.strip("[]").split(",") if value]
    for group, option in typed:
        registry().check_choice(group, option)
        if option != "null" and option not in known[group]:
            if hint := install_hint(group, option):
                raise ConfigError(f"there is no {group}={option}{hint}")
            near = did_you_mean(option, known[group]).replace("mean ", f"mean {group}=")
            raise ConfigError(f"there is no {group}={option}.{near or ' The options are ' + ', '.join(known[group]) + '.'}")
    files = [verb, *(f"{group}/{option}" for group, option in typed if group in paper_groups)]
    selection = Selection()
    for override in (False, True):  # overrides replace the choices of all files
        for file in files:
            selection.options.update(_read_options(file, override, set()))
    selection.options.update({group: option for group, option in typed if group in registry().parts})
    for group, option in typed:
        if group not in registry().parts and group not in paper_groups:
            read_config_file(f"{group}/{option}")
    for kind, option in selection.options.items():
        if kind in registry().parts:
            selection.values.update(_read_values(f"{kind}/{option}", kind, set()))
    for file in files[1:]:
        selection.values.update(_read_values(file, "", set()))
    return selection


def check_config_files(verb: str, primary: str, words: Sequence[str]) -> None:
    """Check that the config files of a command line can be read, and that each is provided by one folder only.

    Raises:
        ConfigError: a file cannot be read, or two folders provide it. The message names the file and the line, or both folders.
    """
    check_user_files(primary, words)
    if conflicting_files():
        read_selection(verb, words)  # reads all files that are chosen


def _read_options(file: str, override: bool, seen: set[str]) -> dict[str, str]:
    """Read the options that the defaults lists of a file and of the files that it includes choose. Reads each file once."""
    if file in seen:
        return {}
    options: dict[str, str] = {}
    for group, option, overrides in iter_defaults(read_config_file(file), file.rpartition("/")[0]):
        if group in registry().parts:
            if overrides == override:
                options[group] = option
        elif overrides:
            read_config_file(f"{group}/{option}")
        elif not overrides:
            options.update(_read_options(f"{group}/{option}" if group else option, override, seen | {file}))
    return options


def _read_values(file: str, package: str, seen: set[str]) -> dict[str, Any]:
    """Read the values of a file and of the files that it includes, by dotted key; the file's own values win."""
    content = read_config_file(file)
    if file in seen or content is None:
        return {}
    values: dict[str, Any] = {}
    own_group = file.rpartition("/")[0]
    for group, option, overrides in iter_defaults(content, own_group):
        if not overrides and (group == package if package else group not in registry().parts):
            values.update(_read_values(f"{group}/{option}" if group else option, package, seen | {file}))
    return values | dict(_flatten({key: value for key, value in content.items() if key != "defaults"}, package))


def _flatten(content: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        full = f"{prefix}.{key}".lstrip(".")
        yield full, value
        if isinstance(value, dict):
            yield from _flatten(value, full)
