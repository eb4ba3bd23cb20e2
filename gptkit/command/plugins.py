"""The verb `plugins`: every part that is installed, or the keys of one."""

from __future__ import annotations

import inspect
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from gptkit.command import Plugins
from gptkit.errors import ConfigError, did_you_mean
from gptkit.parts import fields_of, summary
from gptkit.plugins import Entry, registry


def plugins(settings: Plugins) -> list[dict[str, Any]]:
    """Print the parts that fit `kind` and `name` to standard output; gives what was printed, as plain values."""
    rows = _chosen(settings)
    if settings.format == "json":
        print(json.dumps(rows, indent=2, default=str))
    elif settings.name is not None:
        for row in rows:
            _print_part(row)
    else:
        _print_list(rows)
    return rows


def _chosen(settings: Plugins) -> list[dict[str, Any]]:
    parts = registry().parts
    if settings.kind is not None and settings.kind not in parts:
        raise ConfigError(f"there is no kind {settings.kind}.{did_you_mean(settings.kind, parts)}")
    kinds = [settings.kind] if settings.kind is not None else list(parts)
    if settings.name is None:
        return [_described(kind, name, entry) for kind in kinds for name, entry in parts[kind].items()]
    found = [_described(kind, settings.name, parts[kind][settings.name]) for kind in kinds if settings.name in parts[kind]]
    if not found:
        known = {name for kind in kinds for name in parts[kind]}
        raise ConfigError(f"there is no part {settings.name}.{did_you_mean(settings.name, known)}")
    return found


def _described(kind: str, name: str, entry: Entry) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "distribution": entry.distribution,
        "version": entry.version,
        "summary": summary(entry.part),
        "doc": inspect.cleandoc(entry.part.__doc__ or ""),
        "source": f"{entry.part.__module__}.{entry.part.__qualname__}",
        "fields": [
            {"name": field.name, "type": field.type, "default": field.default, "doc": field.doc}
            for field in fields_of(entry.part)
            if field.name != "name" or kind == "command"
        ],
    }


def _print_list(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("kind", "name", "distribution", "what it is"):
        table.add_column(column)
    for row in rows:
        table.add_row(row["kind"], row["name"], row["distribution"], row["summary"])
    Console().print(table)
    for failure in registry().failures:
        Console(stderr=True).print(f"plugin {failure.plugin} of {failure.distribution} failed to load: {failure.reason}")


def _print_part(row: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(f"[bold]{row['kind']}={row['name']}[/bold]  ({row['distribution']} {row['version']}, {row['source']})")
    console.print(row["doc"], markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("key", "type", "default", "what it is"):
        table.add_column(column)
    prefix = "" if row["kind"] == "command" else f"{row['kind']}."
    for field in row["fields"]:
        table.add_row(prefix + field["name"], field["type"], str(field["default"]), field["doc"])
    if row["fields"]:
        console.print()
        console.print(table, markup=False)
