"""The help pages name everything that can be chosen, without importing torch."""

from __future__ import annotations

import functools
import re
import subprocess
import sys

import pytest

import gptkit
from gptkit.config.defaults_list import read_selection
from gptkit.config.key_suggestions import dotted_keys
from gptkit.plugins import registry
from tests.command_line import GptkitCommand


def test_the_overview_names_every_verb_and_paper(gptkit_command: GptkitCommand) -> None:
    for words in ((), ("--help",)):
        page = gptkit_command(*words).out
        assert all(f"  {verb} " in page for verb in registry().parts["command"])
        assert "+gpt2=" in page
        assert "+gpt3=" in page


def test_a_verbs_page_names_its_parts_and_keys(gptkit_command: GptkitCommand) -> None:
    page = gptkit_command("train", "--help").out
    for word in ("attention=", "alternating|banded|dense", "batch.micro=auto", "val.fraction=", "trainer=", "--multirun"):
        assert word in page


def test_a_verbs_page_shows_the_constraints_of_values(gptkit_command: GptkitCommand) -> None:
    page = " ".join(gptkit_command("train", "--help").out.split())
    assert "no validation split (at least 0, below 1)" in page
    page = " ".join(gptkit_command("eval", "--help").out.split())
    assert "table or json" in page
    assert "(table or json)" not in page  # the description already names the choices


def test_a_page_offers_papers_and_trainers_only_if_the_verb_accepts_them(gptkit_command: GptkitCommand) -> None:
    for verb in ("eval", "generate", "plugins"):
        page = gptkit_command(verb, "--help").out
        assert "+gpt2=" not in page
        assert "trainer=" not in page
    assert "+gpt2=" in gptkit_command("plan", "--help").out


def test_help_of_an_unknown_verb_names_the_nearest_one(gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("trian", "--help")
    assert outcome.status == 2
    assert "Did you mean train?" in outcome.error_line


@pytest.mark.process
def test_help_imports_neither_torch_nor_lightning_nor_hydra() -> None:
    code = (
        "import sys; from gptkit.config.main import run_command_line;"
        "run_command_line(['--help']); run_command_line(['train', '--help']);"
        "print({name for name in sys.modules if name in ('torch', 'lightning', 'hydra')})"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "set()"


def test_a_page_shows_the_keys_of_the_chosen_parts(gptkit_command: GptkitCommand) -> None:
    page = gptkit_command("train", "--help").out
    assert "model=gpt\n" in page
    assert re.search(r"model\.layers=6 +int: number of blocks", page)
    assert "attention=dense has no keys" in page
    assert "optimizer.schedule.shape=cosine" in page
    page = gptkit_command("train", "model=lstm", "+speedrun=shakespeare_char", "--help").out
    assert "model.units=" in page
    assert "model.norm" not in page
    assert "data.path=(required)" in page
    assert re.search(r"tokens=737280 +int: ", page)
    assert "task.prompts=256" in gptkit_command("eval", "task=win_rate", "-h").out


def test_help_for_an_unknown_part_names_the_nearest_one(gptkit_command: GptkitCommand) -> None:
    assert "there is no model=lstn. Did you mean model=lstm?" in gptkit_command("train", "model=lstn", "--help").error_line


@pytest.mark.parametrize(
    "words",
    [
        ["+gpt1=pretrain"],
        ["+gpt2=124m", "optimizer=muon"],
        ["+gpt3=6.7b", "model=lstm"],
        ["+instructgpt=ppo_ptx", "reward=lexicon"],
        ["data=prose"],
        ["+demo=ppo", "+shrink=tiny", "reward=lexicon"],
    ],
)
def test_a_page_shows_the_values_that_hydra_composes(words: list[str]) -> None:
    settings = gptkit.compose("train", words).settings
    shown = read_selection("train", words)
    for kind in shown.options.keys() & {"model", "attention", "objective", "tokenizer", "data", "optimizer", "reward"}:
        part = getattr(settings, kind)
        assert shown.part(kind) is (None if part is None else type(part)), kind
    for key, value in shown.values.items():
        owner, _, name = key.rpartition(".")
        if key in dotted_keys("train"):
            composed = functools.reduce(getattr, owner.split("."), settings) if owner else settings
            assert getattr(composed, name) == value or isinstance(value, dict), key
