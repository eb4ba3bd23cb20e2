"""The help pages, generated from the registry and the config classes without importing Hydra, torch or Lightning."""

from __future__ import annotations

import dataclasses
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

from gptkit.errors import ConfigError, did_you_mean
from gptkit.parts import FieldInfo, fields_of, summary
from gptkit.plugins import registry

_FLAGS = (
    ("-m, --multirun", "sweep: run every combination of values separated by commas"),
    ("--cfg job", "print the composed configuration instead of running it (also hydra, all)"),
    ("--info defaults-tree", "print how the configuration is composed (also config, plugins, searchpath)"),
    ("--config-dir DIR", "search this folder for configurations: +experiment=mine adds its experiment/mine.yaml"),
    ("--config-name NAME", "use NAME.yaml of that folder as the primary configuration"),
    ("-sc install", 'print the completion script for bash and zsh; use: eval "$(gptkit -sc install)"'),
)


def help_page(argv: list[str]) -> str:
    """Return the help page for a command line: that of its verb, or the overview."""
    verb = next((word for word in argv if not word.startswith("-") and "=" not in word), None)
    if "--config-name" in argv[:-1]:
        verb = argv[argv.index("--config-name") + 1]
    return (
        _overview_page() if verb is None else _verb_page(verb, [word for word in argv if "=" in word and not word.startswith("-")])
    )


def _overview_page() -> str:
    from gptkit.config_groups import papers

    commands = {name: summary(entry.part) for name, entry in registry().parts["command"].items()}
    lines = [
        "gptkit: train, align, evaluate and export GPTs from one declarative configuration.",
        "",
        "usage: gptkit <verb> [key=value ...] [flags]",
        "",
        "verbs",
        *_format_table(commands),
        "",
        "papers and other configurations of a whole run (add one with +, as in `gptkit train +gpt2=124m`)",
        *_format_table({f"+{group}=": "|".join(options) for group, options in papers().items()}),
        "",
        "examples",
        "  gptkit train data=text data.path=books/ hydra.run.dir=runs/books",
        '  gptkit generate checkpoint=runs/books prompt="Once upon a time"',
        "  gptkit train -m +gpt2=124m,355m +shrink=tiny",
        "",
        "gptkit <verb> --help shows the keys of a verb; gptkit plugins lists all parts.",
    ]
    return "\n".join(lines + _format_failures())


def _verb_page(verb: str, words: Sequence[str]) -> str:
    from gptkit.config.defaults_list import read_selection
    from gptkit.config_groups import accepts_papers, groups, presets

    known = registry().parts["command"]
    if verb not in known:
        registry().check_choice("command", verb)
        raise ConfigError(f"there is no verb {verb}.{did_you_mean(verb, known)} See gptkit --help")
    command = known[verb].part
    fields = fields_of(command)
    kinds = [field for field in fields if field.name in registry().parts]
    lines = [
        f"gptkit {verb}: {summary(command)}",
        "",
        f"usage: gptkit {verb} {_bare_words_usage(command.bare_words)}[key=value ...] [flags]",
    ]
    options = groups()
    if kinds:
        lines += ["", "parts (choose one with kind=name; `gptkit plugins kind=... name=...` shows its keys)"]
        lines += _format_table({f"{field.name}=": "|".join(options.get(field.name, [])) or "(none installed)" for field in kinds})
    if added := presets(verb):
        whole = "papers and other configurations of a whole run" if accepts_papers(verb) else "configurations"
        lines += ["", f"{whole} (add one with +)"]
        lines += _format_table({f"+{group}=": "|".join(values) for group, values in added.items()})
    if any(field.name == "trainer" for field in fields):
        lines += ["", "trainer presets", *_format_table({"trainer=": "|".join(options["trainer"])})]
    choice = read_selection(verb, words)
    lines += ["", "keys (key=default, type: description)"]
    lines += _format_table(_key_rows(_flatten_fields(fields, skip={field.name for field in kinds}), choice.values))
    parts = [(field.name, part) for field in kinds if (part := choice.part(field.name)) is not None]
    if parts:
        lines += ["", f"keys of the chosen parts (`gptkit {verb} {_example_part(verb)} --help` shows those of another part)"]
    for kind, part in parts:
        owner = f"logger.{choice.options[kind]}." if kind == "logger" else f"{kind}."
        rows = _key_rows(_flatten_fields(fields_of(part), skip={"name"}, owner=owner), choice.values)
        lines += [
            f"  {kind}={choice.options[kind]}{'' if rows else ' has no keys'}",
            *(f"  {line}" for line in _format_table(rows)),
        ]
    lines += ["", "flags", *_format_table(dict(_FLAGS))]
    return "\n".join(lines + _format_failures())


def _bare_words_usage(key: str) -> str:
    return f"[{key} ...] " if key else ""


def _example_part(verb: str) -> str:
    return "model=lstm" if "model" in {field.name for field in fields_of(registry().parts["command"][verb].part)} else "kind=name"


def _flatten_fields(fields: list[FieldInfo], skip: set[str], owner: str = "") -> list[tuple[str, FieldInfo]]:
    """Return all keys with their dotted names, including those of nested configs."""
    flat: list[tuple[str, FieldInfo]] = []
    for field in fields:
        if field.name in skip:
            continue
        if dataclasses.is_dataclass(field.default):
            flat += _flatten_fields(fields_of(type(field.default)), set(), f"{owner}{field.name}.")
        else:
            flat.append((f"{owner}{field.name}", field))
    return flat


def _key_rows(keys: list[tuple[str, FieldInfo]], values: dict[str, Any]) -> dict[str, str]:
    """Return rows of `key=default` and its description. The value of a preset or paper replaces the default."""
    return {
        f"{name}={_format_default(values.get(name, field.default))}": ": ".join(
            filter(None, (field.type.replace("typing.", ""), field.explained))
        )
        for name, field in keys
    }


def _format_default(default: Any) -> str:
    if default == "???":
        return "(required)"
    if default is None:
        return "null"
    if isinstance(default, bool):
        return str(default).lower()
    return repr(default) if default == "" else str(default)


def _format_table(rows: dict[str, str]) -> list[str]:
    width = min(max((len(left) for left in rows), default=0), 28)
    room = max(shutil.get_terminal_size((100, 24)).columns - width - 4, 40)
    lines = []
    for left, right in rows.items():
        first, *more = textwrap.wrap(right, room, break_on_hyphens=False, break_long_words=False) or [""]
        if len(left) > width:
            lines += [f"  {left}", f"  {'':{width}}  {first}"]
        else:
            lines.append(f"  {left:{width}}  {first}")
        lines += [f"  {'':{width}}  {line}" for line in more]
    return [line.rstrip() for line in lines]


def _format_failures() -> list[str]:
    from gptkit.config_groups import plugin_failures

    reasons: dict[str, list[str]] = {}
    for failure in plugin_failures():
        reasons.setdefault(failure.display_name, []).append(failure.reason)
    rows = {name: "; ".join(explanations) for name, explanations in reasons.items()}
    return ["", "plugins that failed to load, wholly or in part", *_format_table(rows)] if rows else []
