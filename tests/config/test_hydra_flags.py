"""Hydra's flags `--info` and `--cfg` print only their result, nothing on standard error, and create no files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gptkit.plugins import registry
from tests.command_line import GptkitCommand


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("defaults-tree", "      attention: banded\n"),
        ("defaults", "| attention/banded"),
        ("config", "pkg://gptkit.conf"),
        ("searchpath", "pkg://gptkit.conf"),
        ("plugins", "ProcessLauncher"),
        ("all", "Defaults Tree"),
    ],
)
def test_info_prints_the_result_alone(flag: str, expected: str, gptkit_command: GptkitCommand, in_folder: Path) -> None:
    outcome = gptkit_command("train", "attention=banded", "--info", flag)
    assert (outcome.status, outcome.err) == (0, "")
    assert expected in outcome.out
    assert "Traceback" not in outcome.out
    assert list(in_folder.iterdir()) == []


def test_the_defaults_tree_shows_what_a_paper_chooses(gptkit_command: GptkitCommand, in_folder: Path) -> None:
    tree = gptkit_command("train", "+gpt3=125m", "--info", "defaults-tree").out
    assert "gpt3: 125m" in tree
    assert "attention: alternating" in tree


def test_info_with_an_unknown_option_is_one_line(gptkit_command: GptkitCommand, in_folder: Path) -> None:
    outcome = gptkit_command("train", "attention=bandd", "--info", "defaults-tree")
    assert outcome.status == 2
    assert "Did you mean attention=banded?" in outcome.error_line


@pytest.mark.parametrize("verb", [verb for verb, entry in registry().parts["command"].items()])
@pytest.mark.parametrize("part", ["job", "hydra", "all"])
def test_cfg_prints_only_yaml(verb: str, part: str, gptkit_command: GptkitCommand, in_folder: Path) -> None:
    outcome = gptkit_command(verb, "--cfg", part)
    assert (outcome.status, outcome.err) == (0, "")
    assert ("hydra" in yaml.safe_load(outcome.out)) == (part != "job")
    assert list(in_folder.iterdir()) == []


def test_package_restricts_cfg_to_one_part(gptkit_command: GptkitCommand, in_folder: Path) -> None:
    printed = gptkit_command("train", "attention=banded", "--cfg", "job", "--package", "attention").out
    assert yaml.safe_load(printed) == {"name": "banded", "window": 256}
