"""`gptkit plugins` says of every part where it comes from, what it is, and what can be set."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

import gptkit
from gptkit.hookspecs import KINDS
from gptkit.plugins import registry
from tests.command_line import GptkitCommand


def test_list_has_a_line_for_every_part(gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("plugins")
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    for kind in KINDS:
        for name in registry().parts[kind]:
            assert sum(line.split()[:3] == [kind, name, "gptkit"] for line in lines) == 1
    assert not any(line.endswith(" ") for line in lines)


def test_part_page_shows_keys_defaults_documentation_and_source(gptkit_command: GptkitCommand) -> None:
    page = gptkit_command("plugins", "kind=attention", "name=banded").out
    assert page.startswith("attention=banded\n\nEvery position attends to the last `window` positions, itself included.\n")
    assert "section 4.3" in page
    assert "from gptkit 0.1.0: gptkit.attention.BandedAttentionConfig\n" in page
    assert str(Path(gptkit.__file__).parent / "attention" / "__init__.py") in page
    assert page.splitlines()[-1].split(maxsplit=3) == [
        "attention.window",
        "int",
        "256",
        "number of keys of a query, including its own (at least 1, at most 100,000,000)",
    ]


@pytest.mark.parametrize(
    ("name", "choice", "key"),
    [
        ("csv", "logger=csv", ""),
        ("wandb", "logger=wandb", "logger.wandb.project"),
        ("early_stopping", "+callback@callback.<any name>=early_stopping", "callback.<any name>.patience"),
    ],
)
def test_parts_that_have_a_name_in_the_run_are_shown_as_they_are_typed(
    gptkit_command: GptkitCommand, name: str, choice: str, key: str
) -> None:
    page = gptkit_command("plugins", f"name={name}").out
    assert page.startswith(f"{choice}\n")
    assert f"\n{key}" in page


def test_nested_keys_are_listed(gptkit_command: GptkitCommand) -> None:
    page = gptkit_command("plugins", "name=adamw").out
    assert ["optimizer.schedule.shape", "str", "cosine"] in [line.split()[:3] for line in page.splitlines()]


def test_constraints_of_keys_are_shown_and_in_json(gptkit_command: GptkitCommand) -> None:
    (row,) = json.loads(gptkit_command("plugins", "name=adamw", "format=json").out)
    result = {field["name"]: field["constraints"] for field in row["fields"]}
    assert result["lr"] == {"at_least": 0, "at_most": 1000}
    assert result["betas"] == {"items": 2, "at_least": 0, "below": 1}
    assert result["schedule.shape"] == {"one_of": ["cosine", "linear", "constant"]}


def test_part_without_keys_and_kind_without_parts_are_described(gptkit_command: GptkitCommand) -> None:
    assert gptkit_command("plugins", "kind=attention", "name=dense").out.endswith("It has no keys.\n")
    for kind in KINDS:
        if not registry().parts[kind]:
            outcome = gptkit_command("plugins", f"kind={kind}")
            assert outcome.out == f"no {kind} is installed; docs/parts.md describes how to write one\n"


@pytest.mark.parametrize("kind", KINDS)
def test_json_has_every_key_of_every_part(kind: str, gptkit_command: GptkitCommand) -> None:
    rows = json.loads(gptkit_command("plugins", f"kind={kind}", "format=json").out)
    assert [row["name"] for row in rows] == list(registry().parts[kind])
    for row in rows:
        entry = registry().parts[kind][row["name"]]
        assert (row["distribution"], row["class"]) == ("gptkit", f"{entry.part.__module__}.{entry.part.__qualname__}")
        assert Path(row["file"]).is_file()
        own = {field.name for field in dataclasses.fields(entry.part)} - ({"name"} if kind != "command" else set())
        assert {field["name"].partition(".")[0] for field in row["fields"]} == own
        assert all(field["doc"] for field in row["fields"] if field["name"] not in KINDS)  # every key says what it is


def test_preset_page_shows_its_part_and_values(gptkit_command: GptkitCommand) -> None:
    page = gptkit_command("plugins", "kind=optimizer", "name=gpt3_adam").out
    assert page.startswith("optimizer=gpt3_adam\n\na preset of optimizer=adamw, from gptkit 0.1.0:\n/")
    assert "appendix B" in page
    assert "betas: [0.9, 0.95]" in page
    (row,) = json.loads(gptkit_command("plugins", "name=gpt3_adam", "format=json").out)
    assert (row["extends"], row["sets"]["weight_decay"]) == ("adamw", 0.1)
    wrong = gptkit_command("plugins", "kind=optimizer", "name=gpt3_adm")
    assert (wrong.status, "Did you mean gpt3_adam?" in wrong.error_line) == (2, True)
