from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from gptkit.attention import AlternatingAttentionConfig, AttentionConfig, BandedAttentionConfig, DenseAttentionConfig
from gptkit.attention.banded import BandedAttention
from gptkit.attention.base import Attention
from gptkit.attention.dense import DenseAttention

WIDTH, HEADS, T = 12, 3, 9


def build(part: AttentionConfig, *, dropout: float = 0.0, layer: int = 0) -> Attention:
    torch.manual_seed(0)
    return part.build(width=WIDTH, heads=HEADS, context=16, dropout=dropout, layer=layer, layers=4).double()


def slow(attention: DenseAttention, x: Tensor, window: int, segments: Tensor | None) -> Tensor:
    """Equation 1 of "Attention Is All You Need", one query and one head at a time."""
    size = WIDTH // HEADS
    out = torch.zeros_like(x)
    for row in range(x.shape[0]):
        q, k, v = attention.qkv(x[row]).split(WIDTH, dim=-1)
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            for t in range(x.shape[1]):
                seen = [s for s in range(t + 1) if t - s < window and (segments is None or segments[row, s] == segments[row, t])]
                scores = torch.stack([q[t, part] @ k[s, part] / math.sqrt(size) for s in seen])
                out[row, t, part] = sum(p * v[s, part] for p, s in zip(scores.softmax(0), seen, strict=True))
    return attention.output(out)


@pytest.mark.parametrize(
    "part",
    [DenseAttentionConfig(), BandedAttentionConfig(window=1), BandedAttentionConfig(window=4), BandedAttentionConfig(window=50)],
)
@pytest.mark.parametrize("packed", [False, True])
def test_attention_matches_the_equation_one_query_at_a_time(part: Any, packed: bool) -> None:
    attention = build(part)
    assert isinstance(attention, DenseAttention)
    x = torch.randn(2, T, WIDTH, dtype=torch.float64)
    segments = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 2, 2, 0, 0]]) if packed else None
    window = part.window if isinstance(part, BandedAttentionConfig) else T
    torch.testing.assert_close(attention(x, segments=segments), slow(attention, x, window, segments), rtol=0, atol=1e-12)


def test_alternating_attention_is_dense_and_banded_in_turn() -> None:
    kinds = [type(build(AlternatingAttentionConfig(), layer=layer)) for layer in range(4)]
    assert kinds == [DenseAttention, BandedAttention, DenseAttention, BandedAttention]
    assert type(build(AlternatingAttentionConfig(first="banded"))) is BandedAttention


@pytest.mark.parametrize("part", [DenseAttentionConfig(), BandedAttentionConfig(window=4)])
def test_attention_dropout_is_applied_only_in_training(part: Any) -> None:
    attention = build(part, dropout=0.5)
    x = torch.randn(1, T, WIDTH, dtype=torch.float64)
    assert not torch.equal(attention(x), attention(x))
    attention.eval()
    assert torch.equal(attention(x), attention(x))
