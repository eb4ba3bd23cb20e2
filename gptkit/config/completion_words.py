"""Which of Hydra's suggestions a person can use: it offers every group as a key, and files that are only for other files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from gptkit.config_groups import groups
from gptkit.plugins import registry

FLAGS = ("--cfg", "--config-dir", "--help", "--info", "--multirun", "--package", "--resolve", "--version")
"""The flags that completion offers; others are Hydra's own affairs."""

_CALLBACK = "+callback@callback."


def usable(verb: str, word: str, choices: Iterable[str]) -> list[str]:
    """The choices for a word that the verb would accept: its own keys, papers behind `+`; no schema, base or part's `name`."""
    known = groups()
    keys = {field.name for field in dataclasses.fields(registry().parts["command"][verb].part)} | {"hydra"}
    kept = []
    for choice in choices:
        plain = choice.lstrip("+~")
        top = plain.replace("=", ".").replace("/", ".").partition(".")[0]
        if plain.endswith(".name="):
            continue
        added = choice.startswith("+")
        if (top in known and top not in keys) if added else (top in keys):
            kept.append("hydra/" if choice == "hydra" else choice)
    if "callback" in keys and word and _CALLBACK.startswith(word):
        kept.append(_CALLBACK)  # by any name
    return kept
