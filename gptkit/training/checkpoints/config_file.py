"""Writes a run's settings to config.yaml as plain YAML, defaults included, and reads them back into the same classes.

The registry resolves parts by kind and name, so the file holds no import paths and no Python objects.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from gptkit.atomic_io import write_file
from gptkit.constraint_checks import check_constraints
from gptkit.errors import CheckpointError, ConfigError, wrong_type_message
from gptkit.hookspecs import KINDS, NAMED_KINDS
from gptkit.kit_files import MIB, DamagedFile, read_text
from gptkit.plugins import registry
from gptkit.run_config import RunConfig
from gptkit.training.checkpoints.migrations import current_config

FILE = "config.yaml"

PART_KEYS = tuple(kind for kind in KINDS if kind != "command")
"""Keys that hold a part of the kind of the same name; those of `NAMED_KINDS` hold several parts, by any name."""

DEFAULT_LOGGER = {"tensorboard": {"name": "tensorboard"}}
"""The loggers of runs whose config.yaml is older than the key `logger`."""

_INTERPOLATION = re.compile(r"(\\*)\$\{")


def to_plain(settings: RunConfig) -> dict[str, Any]:
    """Return the settings as plain dicts, lists, text and numbers, as in config.yaml."""
    return dataclasses.asdict(settings)


def write_settings(path: Path, settings: RunConfig) -> None:
    """Write the settings as YAML, with all defaults, in the order of the fields.

    Raises:
        ConfigError: a value cannot be written as plain YAML, because a field of a part has another type.
        GptkitError: the file cannot be written, for example because the disk is full.
    """
    try:
        text = yaml.safe_dump(to_plain(settings), sort_keys=False, allow_unicode=True, width=120)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: a setting is not a plain value: {_first_line(error)}") from error
    write_file(path, text)


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the plain content of a config.yaml with current keys. Keys that are newer than the file are absent.

    Raises:
        CheckpointError: the file is missing, is not YAML, or is not a mapping.
    """
    try:
        content = current_config(read_yaml(path))
        check_parts(content)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    except DamagedFile as error:
        raise CheckpointError(f"{path}: {error}") from error
    return content


def check_parts(content: Mapping[str, Any]) -> None:
    """Check that every key that is named like a kind holds a part, because callers read parts before they are resolved.

    Raises:
        DamagedFile: a key holds something else.
    """
    for key in PART_KEYS:
        value = content.get(key)
        parts = value if key in NAMED_KINDS and isinstance(value, Mapping) else {key: value}
        for name, part in parts.items():
            if part is not None and not (isinstance(part, Mapping) and isinstance(part.get("name"), str)):
                raise DamagedFile(f"does not hold a part under {f'{key}.{name}' if key in NAMED_KINDS else key}")
    if not isinstance(content.get("init_from"), str | None):
        raise DamagedFile("does not hold a text under init_from")


def read_settings(path: Path, schema: type[RunConfig] = RunConfig) -> RunConfig:
    """Return the settings that `write_settings` wrote, as an instance of `schema` with all parts resolved.

    Raises:
        CheckpointError: the file cannot be read.
        ConfigError: a part is not installed, or this version does not have a key.
    """
    return settings_from(read_mapping(path), schema, where=str(path))


def settings_from(content: Mapping[str, Any], schema: type[RunConfig] = RunConfig, *, where: str = FILE) -> RunConfig:
    """Return the settings object for the plain content of a config.yaml."""
    unknown = [key for key in content if key not in {field.name for field in dataclasses.fields(schema)}]
    if unknown:
        raise ConfigError(f"{where}: a run has no key {unknown[0]}; was it written by another version?")
    values: dict[str, Any] = {}
    for key, value in {"logger": DEFAULT_LOGGER, **content}.items():
        if key in NAMED_KINDS:
            values[key] = {name: part_from(key, part, where=where) for name, part in (value or {}).items()}
        elif key in PART_KEYS and isinstance(value, Mapping):
            values[key] = part_from(key, value, where=where)
        else:
            values[key] = value
    try:
        check_constraints(values, of=schema)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    settings: RunConfig = _fill(schema, values, where)
    return settings


def part_from(kind: str, content: Mapping[str, Any], *, where: str = FILE) -> Any:
    """Return the settings of a part for its plain content in a config.yaml.

    Raises:
        ConfigError: the part is not installed, or a key is unknown or invalid.
    """
    try:
        return registry().resolve(kind, escape_interpolations(content))
    except ConfigError as error:
        way_out = (
            " Choose another one, such as logger=csv." if kind == "logger" and content["name"] not in registry().parts[kind] else ""
        )
        raise ConfigError(f"{where}: {error}{way_out}") from error


def _fill(schema: type[Any], values: dict[str, Any], where: str) -> Any:
    """Return an instance of a dataclass, including nested dataclasses (`batch`, `val`)."""
    filled = {}
    for field in dataclasses.fields(schema):
        has_keys = isinstance(field.default_factory, type) and dataclasses.is_dataclass(field.default_factory)
        if has_keys and not isinstance(values.get(field.name, {}), Mapping):
            raise ConfigError(f"{where}: {field.name} must hold keys, not a value")
    plain_values = _typed(schema, {key: value for key, value in values.items() if not _holds_parts(key, value)}, where)
    for field in dataclasses.fields(schema):
        if field.name not in values:
            continue
        value = plain_values.get(field.name, values[field.name])
        default = field.default_factory
        if isinstance(value, dict) and isinstance(default, type) and dataclasses.is_dataclass(default):
            value = _fill(default, value, where)
        filled[field.name] = value
    try:
        return schema(**filled)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _holds_parts(key: str, value: Any) -> bool:
    return key in NAMED_KINDS or dataclasses.is_dataclass(value)


def _typed(schema: type[Any], values: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the values, converted to the types of their fields."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), escape_interpolations(values))
        typed = OmegaConf.to_container(OmegaConf.masked_copy(merged, list(values)), resolve=True)  # type: ignore[arg-type]
    except (OmegaConfBaseException, ValueError, TypeError, OverflowError) as error:
        key = str(getattr(error, "full_key", None) or "")
        reason = wrong_type_message(key, _first_line(error)) or f"{key}: {_first_line(error)}".removeprefix(": ")
        raise ConfigError(f"{where}: {reason}") from error
    assert isinstance(typed, dict)
    return {str(key): value for key, value in typed.items()}


def escape_interpolations(value: Any) -> Any:
    """Escape "${...}" in texts, so that OmegaConf does not interpolate it in a path or a prompt."""
    if isinstance(value, str):
        return _INTERPOLATION.sub(r"\1\1\\${", value)  # OmegaConf's grammar requires backslashes before it to be doubled
    if isinstance(value, Mapping):
        return {key: escape_interpolations(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escape_interpolations(item) for item in value]
    return value


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


MAX_BYTES = 2 * MIB
"""The size limit of a config.yaml in bytes, enough for about ten thousand paths."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises:
        FileNotFoundError: there is no file.
        DamagedFile: the file cannot be read, or is not YAML as a run writes it.
    """
    try:
        content = yaml.load(read_text(path, limit=MAX_BYTES), Loader=_PlainLoader)
    except yaml.YAMLError as error:
        raise DamagedFile(_reason(error)) from error
    except RecursionError as error:
        raise DamagedFile("is nested too deeply") from error
    except ValueError as error:  # an invalid number or date
        raise DamagedFile(f"is not the YAML that the run wrote ({str(error).partition(chr(10))[0]})") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise DamagedFile("is not the settings of a run")
    return content


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Rejects aliases, with which a few lines can expand to gigabytes, and duplicate keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "holds an alias (*), which no run writes", self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"holds the key {name[:80]} twice", key.start_mark)
            seen.add(name)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def _reason(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return f"is not the YAML that the run wrote ({str(problem)[:120]}{f', line {mark.line + 1}' if mark is not None else ''})"
