"""Texts that continue beyond the model's context."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gptkit.attention import BandedAttentionConfig, DenseAttentionConfig
from gptkit.generation import generate, stream
from gptkit.generation.sampling import sample, sequence_uniforms
from gptkit.model import GPTConfig
from gptkit.tokenizer.bytes import BytesTokenizer

TOKENIZER = BytesTokenizer()
CONTEXT = 17
PROMPTS = ["hello there", "", "x" * CONTEXT, "y" * 50, "z"]


@pytest.fixture(scope="module", params=[DenseAttentionConfig(), BandedAttentionConfig(window=5)], ids=["dense", "banded"])
def model(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    part = GPTConfig(layers=2, heads=2, width=32, context=CONTEXT, tied=False, dropout=0.0)
    model = part.build(attention=request.param, vocabulary=257).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
        model.head.weight[256] = 0
        model.norm.weight.fill_(1.0)
    return model


def reference(model: Any, prompt: Any, number: Any, count: int) -> Any:
    """Decode without cache and batch: of a full context, only the last half is kept."""
    window, result = TOKENIZER.encode(prompt) or [256], []
    for step in range(count):
        if len(window) >= CONTEXT:
            window = window[-(CONTEXT // 2) :]
        with torch.inference_mode():
            logits = model.logits(model(torch.tensor([window])))[:, -1]
        token = int(sample(logits, torch.from_numpy(sequence_uniforms(3, number, 0, count)[step : step + 1]), temperature=1.0))
        if token == 256:
            break
        result.append(token)
        window = [*window, token]
    return result


def test_sliding_continues_a_text_after_the_last_half_of_its_context(model: Any) -> None:
    texts = generate(model, TOKENIZER, PROMPTS, max_new_tokens=45, overflow="slide", seed=3)
    for number, (prompt, (text,)) in enumerate(zip(PROMPTS, texts, strict=True)):
        assert text.tokens == reference(model, prompt, number, 45)
        assert text.finish_reason in ("length", "end_of_text")
    assert any(len(text.tokens) == 45 for (text,) in texts)


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_sliding_does_not_depend_on_the_batch_and_streams_the_same_text(model: Any, batch: Any) -> None:
    settings: dict[str, Any] = {"max_new_tokens": 45, "overflow": "slide", "seed": 3, "samples": 2, "stop": ["\x07"]}
    texts = generate(model, TOKENIZER, PROMPTS, batch=4, **settings)
    assert texts == generate(model, TOKENIZER, PROMPTS, batch=batch, **settings)
    heard: dict[tuple[int, int], str] = {}
    for piece in stream(model, TOKENIZER, PROMPTS, batch=batch, **settings):
        heard[piece.prompt, piece.sample] = heard.get((piece.prompt, piece.sample), "") + piece.text
    assert heard == {
        (number, number_of_sample): text.text for number, each in enumerate(texts) for number_of_sample, text in enumerate(each)
    }


def test_sliding_does_not_change_texts_that_fit_the_context(model: Any) -> None:
    short: dict[str, Any] = {"max_new_tokens": 5, "seed": 3}
    prompts = ["hello", "", "z"]
    assert generate(model, TOKENIZER, prompts, **short) == generate(model, TOKENIZER, prompts, overflow="slide", **short)
