"""The command `plugins`: lists the installed parts, or shows the keys of a part or the values of a preset."""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from gptkit.command import PluginsCommand
from gptkit.config_groups import plugin_failures
from gptkit.errors import ConfigError, did_you_mean
from gptkit.hookspecs import KINDS, NAMED_KINDS
from gptkit.parts import fields_of, summary
from gptkit.plugin_origin import Origin
from gptkit.plugins import Entry, registry
from gptkit.terminal import make_console, print_text, printable, write_printable


def plugins(settings: PluginsCommand) -> list[dict[str, Any]]:
    """Print the parts that match `kind` and `name` to standard output, and return them as plain values."""
    rows = _select_rows(settings)
    if settings.format == "json":
        page = json.dumps(rows, indent=2, default=str)
    elif settings.name is not None:
        page = "\n\n".join(_part_page(row) for row in rows)
    elif not rows:
        page = f"no {settings.kind} is installed; docs/parts.md describes how to write one"
    else:
        page = _align_columns(("kind", "name", "distribution", "what it is"), (_list_row(row) for row in rows))
    write_printable(f"{page}\n")
    for failure in plugin_failures():
        print_text(f"plugin {failure.display_name}: {failure.reason}", sys.stderr)
    return rows


def _select_rows(settings: PluginsCommand) -> list[dict[str, Any]]:
    parts = registry().parts
    if settings.kind is not None and settings.kind not in parts:
        raise ConfigError(f"there is no kind {settings.kind}.{did_you_mean(settings.kind, parts)}")
    kinds = [settings.kind] if settings.kind is not None else list(parts)
    for kind in kinds:
        registry().check_choice(kind, settings.name or "")
    if settings.name is None:
        return [_part_row(kind, name, entry) for kind in kinds for name, entry in parts[kind].items()]
    rows = [_part_row(kind, settings.name, parts[kind][settings.name]) for kind in kinds if settings.name in parts[kind]]
    presets = list(_iter_presets(kinds))
    rows += [_preset_row(kind, file, origin) for kind, file, origin in presets if file.stem == settings.name]
    if not rows:
        known = {name for kind in kinds for name in parts[kind]} | {file.stem for _, file, _ in presets}
        raise ConfigError(f"there is no part {settings.name}.{did_you_mean(settings.name, known)}")
    return rows


def _iter_presets(kinds: Sequence[str]) -> Iterator[tuple[str, Path, Origin]]:
    """Yield the kind, file and distribution of every preset, a YAML file that extends a part under another name."""
    from gptkit.config_groups import conf_folders

    for origin, folder in conf_folders():
        for kind in kinds:
            for file in sorted((folder / kind).glob("*.yaml")):
                yield kind, file, origin


def _preset_row(kind: str, file: Path, origin: Origin) -> dict[str, Any]:
    from omegaconf import OmegaConf

    content: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    return {
        "kind": kind,
        "name": file.stem,
        "distribution": origin.distribution,
        "version": origin.version,
        "file": str(file),
        "extends": next((name for name in content.get("defaults", []) if isinstance(name, str) and name != "_self_"), None),
        "sets": {key: value for key, value in content.items() if key != "defaults"},
        "text": file.read_text(encoding="utf-8"),
    }


def _part_row(kind: str, name: str, entry: Entry) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "distribution": entry.distribution,
        "version": entry.version,
        "class": f"{entry.part.__module__}.{entry.part.__qualname__}",
        "file": inspect.getsourcefile(entry.part),
        "summary": summary(entry.part),
        "doc": inspect.cleandoc(entry.part.__doc__ or ""),
        "fields": _field_rows(entry.part, prefix="", without=() if kind == "command" else ("name",)),
    }


def _field_rows(settings: type[Any], prefix: str, without: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the keys of a settings class by their dotted names, including those of nested settings."""
    rows: list[dict[str, Any]] = []
    for field in fields_of(settings):
        if field.name in without:
            continue
        if dataclasses.is_dataclass(field.default):
            rows += _field_rows(type(field.default), prefix=f"{prefix}{field.name}.")
        else:
            rows.append(
                {
                    "name": prefix + field.name,
                    "type": field.type,
                    "default": field.default,
                    "doc": field.doc,
                    "explained": field.explained,
                    "constraints": {key: value for each in field.constraints for key, value in each.as_json().items()},
                }
            )
    return rows


def _list_row(row: dict[str, Any]) -> tuple[str, ...]:
    return (row["kind"], row["name"], row["distribution"], row["summary"])


def _part_page(row: dict[str, Any]) -> str:
    """Return the page of a part: documentation, distribution, and keys as they are typed. Of a preset, it shows the file."""
    choice, prefix = _choice_and_prefix(row["kind"], row["name"])
    if "extends" in row:
        origin = f"a preset of {row['kind']}={row['extends']}, from {row['distribution']} {row['version']}:"
        return printable(f"{choice}\n\n{origin}\n{row['file']}\n\n{row['text'].rstrip()}")
    page = f"{choice}\n\n{row['doc']}\n\nfrom {row['distribution']} {row['version']}: {row['class']}\n{row['file']}"
    page = printable(page)
    if not row["fields"]:
        return f"{page}\n\nIt has no keys."
    keys = ((prefix + field["name"], field["type"], _format_assignment(field), field["explained"]) for field in row["fields"])
    return f"{page}\n\n{_align_columns(('key', 'type', 'default', 'what it is'), keys)}"


def _choice_and_prefix(kind: str, name: str) -> tuple[str, str]:
    """Return how a part is chosen on the command line, and the beginning of its keys."""
    if kind == "command":
        return f"gptkit {name}", ""
    if kind == "logger":
        return f"logger={name}", f"logger.{name}."
    if kind in NAMED_KINDS:
        return f"+{kind}@{kind}.<any name>={name}", f"{kind}.<any name>."
    return f"{kind}={name}", f"{kind}."


def _format_assignment(field: dict[str, Any]) -> str:
    """Return the default of a key as it is typed on the command line."""
    default = field["default"]
    if default == "???":
        return "(a part)" if field["name"] in KINDS else "(required)"
    return default if isinstance(default, str) and default else json.dumps(default, default=str)


def _align_columns(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a table for the width of the terminal. In a pipe, every row is one line, so that it can be searched."""
    table = Table(box=None, pad_edge=False, header_style="bold", highlight=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console = make_console() if sys.stdout.isatty() else make_console(width=1000)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
