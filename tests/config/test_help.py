"""Help pages answer at once and name everything that can be chosen."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from gptkit.plugins import registry


def test_the_overview_names_every_verb_and_paper(gptkit_command: Callable[..., object]) -> None:
    for words in ((), ("--help",)):
        page = gptkit_command(*words).out
        assert all(f"  {verb} " in page for verb in registry().parts["command"])
        assert "+gpt2=" in page
        assert "+gpt3=" in page


def test_a_verbs_page_names_its_parts_and_keys(gptkit_command: Callable[..., object]) -> None:
    page = gptkit_command("train", "--help").out
    for word in ("attention=", "alternating|banded|dense", "batch.micro=auto", "val.fraction=", "trainer=", "--multirun"):
        assert word in page


def test_a_page_offers_papers_and_trainers_only_where_the_verb_takes_them(gptkit_command: Callable[..., object]) -> None:
    for verb in ("eval", "generate", "plugins"):
        page = gptkit_command(verb, "--help").out
        assert "+gpt2=" not in page
        assert "trainer=" not in page
    assert "+gpt2=" in gptkit_command("plan", "--help").out


def test_help_of_an_unknown_verb(gptkit_command: Callable[..., object]) -> None:
    outcome = gptkit_command("trian", "--help")
    assert outcome.status == 2
    assert "Did you mean train?" in outcome.error_line


@pytest.mark.process
def test_help_imports_neither_torch_nor_lightning_nor_hydra() -> None:
    code = (
        "import sys; from gptkit.config.main import status_of; status_of(['--help']); status_of(['train', '--help']);"
        "print({name for name in sys.modules if name in ('torch', 'lightning', 'hydra')})"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "set()"
