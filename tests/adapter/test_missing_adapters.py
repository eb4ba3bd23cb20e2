"""Adapters are in packages of their own: without one, the message names it."""

from __future__ import annotations

import pytest

from tests.command_line import GptkitCommand


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("adapter=lora", "there is no adapter=lora: pip install gptkit-peft"),
        ("adapter=lorra", "there is no adapter=lorra, because no adapter is installed"),
        ("adapter.rank=4", "adapter.rank is set, but no adapter is chosen; add adapter=lora (pip install gptkit-peft)"),
        ("model=hf", "there is no model=hf: pip install gptkit-hf"),
    ],
)
def test_the_message_names_the_package(gptkit_command: GptkitCommand, word: str, message: str) -> None:
    outcome = gptkit_command("train", word)
    assert (outcome.status, outcome.error_line) == (2, f"gptkit: {message}")
