import math

import pytest
import torch
from torch import Tensor

from gptkit.attention import Alternating, Attention, Banded, Dense
from gptkit.attention.banded import BuiltBanded
from gptkit.attention.built import BuiltAttention
from gptkit.attention.dense import BuiltDense

WIDTH, HEADS, T = 12, 3, 9


def build(part: Attention, *, dropout: float = 0.0, layer: int = 0) -> BuiltAttention:
    torch.manual_seed(0)
    return part.build(width=WIDTH, heads=HEADS, context=16, dropout=dropout, layer=layer, layers=4).double()


def slow(attention: BuiltDense, x: Tensor, window: int, segments: Tensor | None) -> Tensor:
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


@pytest.mark.parametrize("part", [Dense(), Banded(window=1), Banded(window=4), Banded(window=50)])
@pytest.mark.parametrize("packed", [False, True])
def test_attention_is_the_equation(part, packed):
    attention = build(part)
    x = torch.randn(2, T, WIDTH, dtype=torch.float64)
    segments = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 2, 2, 0, 0]]) if packed else None
    window = part.window if isinstance(part, Banded) else T
    torch.testing.assert_close(attention(x, segments=segments), slow(attention, x, window, segments), rtol=0, atol=1e-12)


def test_layers_alternate():
    kinds = [type(build(Alternating(), layer=layer)) for layer in range(4)]
    assert kinds == [BuiltDense, BuiltBanded, BuiltDense, BuiltBanded]
    assert type(build(Alternating(first="banded"))) is BuiltBanded


@pytest.mark.parametrize("part", [Dense(), Banded(window=4)])
def test_weights_are_dropped_while_training_only(part):
    attention = build(part, dropout=0.5)
    x = torch.randn(1, T, WIDTH, dtype=torch.float64)
    assert not torch.equal(attention(x), attention(x))
    attention.eval()
    assert torch.equal(attention(x), attention(x))
