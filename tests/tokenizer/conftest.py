"""Texts and fixtures for tests of GPT-1's tokenizer."""

from __future__ import annotations

import pytest

from gptkit.tokenizer import GPT1TokenizerConfig
from gptkit.tokenizer.gpt1 import GPT1Tokenizer, ReleasedGPT1Tokenizer
from tests.tokenizer.gpt1_texts import CORPUS


@pytest.fixture(scope="module", params=["openai", "transformers"])
def gpt1_config(request: pytest.FixtureRequest) -> GPT1TokenizerConfig:
    return GPT1TokenizerConfig(size=700, cleaning=request.param)


@pytest.fixture(scope="module")
def gpt1(gpt1_config: GPT1TokenizerConfig) -> GPT1Tokenizer:
    """A trained tokenizer for each cleaning."""
    tokenizer = gpt1_config.build(texts=CORPUS)
    assert isinstance(tokenizer, GPT1Tokenizer)
    return tokenizer


@pytest.fixture(scope="module")
def released_gpt1() -> GPT1Tokenizer:
    """A trained tokenizer with the cleaning of the released code."""
    return ReleasedGPT1Tokenizer.train(CORPUS, size=700)
