"""A text depends on its prompt, its index and the seed, not on the rest of its batch, in any number format."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from gptkit.attention import BandedAttentionConfig, DenseAttentionConfig
from gptkit.generation import generate
from gptkit.generation.responses import generate_responses
from gptkit.model import GPTConfig, LSTMConfig
from gptkit.model.packed_weights import PackedLinear, can_pack, pack_weights
from gptkit.tokenizer.bytes import BytesTokenizer

TOKENIZER = BytesTokenizer()
LETTERS = random.Random(0)
PROMPTS = ["".join(LETTERS.choices("abcdefg hijk", k=LETTERS.choice([1, 2, 3, 8, 20, 33, 47, 60]))) for _ in range(24)]
MODELS = {
    "dense": (GPTConfig(layers=2, heads=4, width=64, context=128, dropout=0.0), DenseAttentionConfig()),
    "banded": (GPTConfig(layers=2, heads=4, width=64, context=128, dropout=0.0), BandedAttentionConfig(window=24)),
    "lstm": (LSTMConfig(layers=2, width=64, units=64, context=128, dropout=0.0), DenseAttentionConfig()),
}


def build(name: str, dtype: torch.dtype) -> Any:
    settings, attention = MODELS[name]
    torch.manual_seed(3)
    model = settings.build(attention=attention, vocabulary=TOKENIZER.size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4 if parameter.dim() > 1 else 1)  # nearly equal logits are then as frequent as in a trained model
    return model.to(dtype).eval()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "fp32"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_text_does_not_depend_on_its_batch_in_any_precision(name: str, dtype: torch.dtype, packed: bool) -> None:
    model = build(name, dtype)
    if packed:
        pack_weights(model, min_entries=1)

    def texts(batch: Any) -> Any:
        return generate(model, TOKENIZER, PROMPTS, max_new_tokens=32, batch=batch, seed=1)

    together = texts(len(PROMPTS))
    assert all(texts(batch) == together for batch in (1, 2, 7))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "fp32"])
def test_a_response_does_not_depend_on_how_a_rollout_is_divided(dtype: torch.dtype) -> None:
    model, ids = build("dense", dtype), [TOKENIZER.encode(prompt) for prompt in PROMPTS]

    def responses(size: Any) -> Any:
        starts = range(0, len(ids), size)
        return [
            response
            for first in starts
            for response in generate_responses(
                model,
                TOKENIZER,
                ids[first : first + size],
                items=range(first, min(first + size, len(ids))),
                max_new_tokens=30,
                samples=2,
                seed=5,
            )
        ]

    assert responses(1) == responses(4) == responses(len(ids))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "fp32"])
@pytest.mark.parametrize("width", [64, 1024, 1280, 3072])
def test_a_packed_product_does_not_depend_on_other_rows(width: int, dtype: torch.dtype) -> None:
    if not can_pack(dtype):
        pytest.skip("this processor lacks the kernels")
    torch.manual_seed(0)
    layer = PackedLinear(0.05 * torch.randn(512, width).to(dtype), torch.randn(512).to(dtype))
    with torch.inference_mode():
        rows = torch.randn(16, 1, width).to(dtype)
        together = layer(rows)
        assert all(torch.equal(layer(rows[:count]), together[:count]) for count in (1, 2, 3, 5, 8))


def test_banded_attention_does_not_depend_on_the_lengths_of_other_rows() -> None:
    """A long row alone equals the one beside a short row: kernels read keys in blocks, and a band may start in a later block."""
    attention = BandedAttentionConfig(window=24).build(width=32, heads=2, context=1100, dropout=0.0, layer=0, layers=1).eval()
    torch.manual_seed(0)
    x, short = torch.randn(1, 1040, 32), torch.randn(1, 5, 32)
    following = torch.randn(1, 1, 32)

    def last(*rows: Any) -> Any:
        from gptkit.model.decoding_cache import DecodingCache

        with torch.inference_mode():
            parts = []
            for row in rows:
                part = DecodingCache([attention.cache(1, row.shape[1])], 1, row.shape[1], torch.device("cpu"))
                part.advance(row[..., 0])
                attention(row, cache=part.layers[0])
                parts.append(part)
            cache = DecodingCache([attention.cache(0, 1100)], 0, 1100, torch.device("cpu"))
            for part in (parts[0], *[parts[-1]] * 3):
                cache.extend(part)
            cache.advance(following[..., 0].expand(4, -1))
            return attention(following.expand(4, -1, -1), cache=cache.layers[0])[0]

    alone, beside = last(x), last(x, short)
    assert torch.equal(alone, beside)
    whole = attention(torch.cat([x, following], dim=1))[0, -1:]
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-5)


def test_a_user_setting_of_mkl_cbwr_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib
    import os

    import gptkit

    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    importlib.reload(gptkit)
    assert os.environ["MKL_CBWR"] == "COMPATIBLE"
    monkeypatch.delenv("MKL_CBWR")
    importlib.reload(gptkit)
    assert os.environ["MKL_CBWR"] == "AUTO,STRICT"
