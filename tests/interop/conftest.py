"""Fixtures for comparisons with transformers: the library without log messages, and models with random weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gptkit.attention import AttentionConfig, DenseAttentionConfig
from gptkit.model import GPTConfig
from gptkit.model.base import Model
from gptkit.tokenizer.base import Tokenizer


@pytest.fixture(scope="session")
def transformers() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = pytest.importorskip("transformers")
    result.utils.logging.disable_progress_bar()
    result.utils.logging.set_verbosity_error()
    return result


@pytest.fixture
def read_by_transformers(transformers: Any) -> Callable[..., tuple[Any, Any]]:
    """`read_by_transformers(folder, model, tokenizer, text)`: checks that transformers computes the same logits and ids."""

    def read(folder: Path, model: Model, tokenizer: Tokenizer, text: str) -> tuple[Any, Any]:
        theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
        tokens = torch.randint(0, tokenizer.size, (3, model.context))
        with torch.inference_mode():
            torch.testing.assert_close(theirs(tokens).logits, model.logits(model(tokens)), rtol=0, atol=1e-5)
        result = transformers.AutoTokenizer.from_pretrained(folder)
        assert result(text)["input_ids"] == tokenizer.encode(text)
        assert (len(result), result.eos_token_id) == (tokenizer.size, tokenizer.special["end_of_text"])
        return theirs, result

    return read


@torch.no_grad()
def shake(model: torch.nn.Module, by: float, embeddings: float | None = None) -> torch.nn.Module:
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        rows = embeddings is not None and name.startswith(("wte", "wpe", "head"))
        parameter.add_((embeddings if rows else by) * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture
def shaken() -> Callable[..., torch.nn.Module]:
    """`shaken(model, by, embeddings=by)`: adds large random numbers to all weights, including gains and biases."""
    return shake


@pytest.fixture
def build() -> Callable[..., Model]:
    """`build(tokenizer, attention, **settings)`: a small model with large random weights, so that its logits are far apart."""

    def built(
        tokenizer: Tokenizer, attention: AttentionConfig | None = None, *, by: float = 0.2, embeddings: float = 0.6, **settings: Any
    ) -> Any:
        torch.manual_seed(0)
        part = GPTConfig(**({"layers": 2, "heads": 2, "width": 16, "context": 24} | settings))
        return shake(part.build(attention=attention or DenseAttentionConfig(), vocabulary=tokenizer.size), by, embeddings)

    return built
