"""Hydra's own questions, asked through gptkit: results alone on standard output, nothing on standard error, no files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gptkit.plugins import registry
from tests.command_line import GptkitCommand


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("defaults-tree", "      attention: banded\n"),
        ("defaults", "| attention/banded"),
        ("config", "pkg://gptkit.conf"),
        ("searchpath", "pkg://gptkit.conf"),
        ("plugins", "ProcessLauncher"),
        ("all", "Defaults Tree"),
    ],
)
def test_info(flag: str, said: str, gptkit_command: GptkitCommand, in_folder: Path) -> None:
    outcome = gptkit_command("train", "attention=banded", "--info", flag)
    assert (outcome.status, outcome.err) == (0, "")
    assert said in outcome.out
    assert "Traceback" not in outcome.out
    assert list(in_folder.iterdir()) == []


def test_the_defaults_tree_shows_what_a_paper_chooses(gptkit_command: GptkitCommand, in_folder: Path) -> None:
    tree = gptkit_command("train", "+gpt3=125m", "--info", "defaults-tree").out
    assert "gpt3: 125m" in tree
    assert "attention: alternating" in tree


def test_info_of_a_wrong_word_is_one_line(gptkit_command: GptkitCommand, in_folder: Path) -> None:
    outcome = gptkit_command("train", "attention=bandd", "--info", "defaults-tree")
    assert outcome.status == 2
    assert "Did you mean attention=banded?" in outcome.error_line


@pytest.mark.parametrize("verb", [verb for verb, entry in registry().parts["command"].items()])
@pytest.mark.parametrize("part", ["job", "hydra", "all"])
def test_cfg_prints_yaml_and_nothing_else(verb: str, part: str, gptkit_command: GptkitCommand, in_folder: Path) -> None:
    outcome = gptkit_command(verb, "--cfg", part)
    assert (outcome.status, outcome.err) == (0, "")
    assert ("hydra" in yaml.safe_load(outcome.out)) == (part != "job")
    assert list(in_folder.iterdir()) == []


def test_cfg_of_one_package(gptkit_command: GptkitCommand, in_folder: Path) -> None:
    printed = gptkit_command("train", "attention=banded", "--cfg", "job", "--package", "attention").out
    assert yaml.safe_load(printed) == {"name": "banded", "window": 256}
