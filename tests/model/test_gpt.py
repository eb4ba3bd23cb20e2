from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gptkit.attention import AlternatingAttentionConfig, AttentionConfig, BandedAttentionConfig, DenseAttentionConfig
from gptkit.attention.base import Attention, AttentionCache
from gptkit.model import GPTConfig
from gptkit.model.base import parameter_count
from gptkit.model.gpt import GPT
from gptkit.model.lm_head import padded_logits

V = 37


def build(attention: AttentionConfig | None = None, **settings: object) -> GPT:
    """A small model in evaluation mode with weights so large that each of them affects the output."""
    torch.manual_seed(0)
    part = GPTConfig(**({"layers": 3, "heads": 2, "width": 16, "context": 20} | settings))  # type: ignore[arg-type]
    model = part.build(attention=attention or DenseAttentionConfig(), vocabulary=V)
    assert isinstance(model, GPT)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize(
    ("layers", "heads", "width", "count"),
    [(12, 12, 768, 124_439_808), (24, 16, 1024, 354_823_168), (36, 20, 1280, 774_030_080), (48, 25, 1600, 1_557_611_200)],
)
def test_the_four_sizes_of_gpt2_have_their_published_parameter_counts(layers: int, heads: int, width: int, count: int) -> None:
    with torch.device("meta"):
        model = GPTConfig(layers=layers, heads=heads, width=width, context=1024).build(
            attention=DenseAttentionConfig(), vocabulary=50257
        )
    assert parameter_count(model) == count


def plain_gpt(w: dict[str, Tensor], tokens: Tensor, *, layers: int, heads: int, norm: str) -> Tensor:
    """Compute logits from the weights by the equations of GPT-1 (post) and GPT-2 (pre)."""

    def linear(name: str, x: Tensor) -> Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def normed(name: str, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    def attention(name: str, x: Tensor) -> Tensor:
        t, d = x.shape
        q, k, v = (part.view(t, heads, d // heads).transpose(0, 1) for part in linear(f"{name}.qkv", x).split(d, dim=-1))
        scores = (q @ k.transpose(1, 2)) / math.sqrt(d // heads)
        scores = scores.masked_fill(torch.ones(t, t).triu(1).bool(), -torch.inf)
        return linear(f"{name}.output", (scores.softmax(-1) @ v).transpose(0, 1).reshape(t, d))

    def mlp(name: str, x: Tensor) -> Tensor:
        u = linear(f"{name}.input", x)
        return linear(f"{name}.output", 0.5 * u * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3))))

    x = w["wte.weight"][tokens] + w["wpe.weight"][: len(tokens)]
    for layer in range(layers):
        b = f"blocks.{layer}"
        if norm == "pre":
            x = x + attention(f"{b}.attention", normed(f"{b}.norm_1", x))
            x = x + mlp(f"{b}.mlp", normed(f"{b}.norm_2", x))
        else:
            x = normed(f"{b}.norm_1", x + attention(f"{b}.attention", x))
            x = normed(f"{b}.norm_2", x + mlp(f"{b}.mlp", x))
    if norm == "pre":
        x = normed("norm", x)
    return x @ w.get("head.weight", w["wte.weight"]).T


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("tied", [True, False])
def test_logits_match_the_equations(norm: str, tied: bool) -> None:
    model = build(norm=norm, tied=tied).double()
    tokens = torch.randint(0, V, (2, 20))
    expected = torch.stack([plain_gpt(model.state_dict(), row, layers=3, heads=2, norm=norm) for row in tokens])
    logits = model.logits(model(tokens))
    assert logits.shape == (2, 20, V)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)


def test_initial_weights_have_the_standard_deviations_of_gpt2() -> None:
    torch.manual_seed(0)
    model = GPTConfig(layers=8, heads=4, width=128, context=512).build(attention=DenseAttentionConfig(), vocabulary=1000)
    deviations = {name: float(p.detach().std()) for name, p in model.named_parameters() if p.dim() == 2}
    for name, deviation in deviations.items():
        reference = 0.01 if name == "wpe.weight" else 0.02 / math.sqrt(16) if ".output." in name else 0.02
        assert deviation == pytest.approx(reference, rel=0.03), name
    assert all(not p.any() for name, p in model.named_parameters() if name.endswith("bias"))
    assert all((p == 1).all() for name, p in model.named_parameters() if "norm" in name and name.endswith("weight"))
    unscaled = GPTConfig(layers=8, heads=4, width=128, residual_scaling=False).build(
        attention=DenseAttentionConfig(), vocabulary=50
    )
    assert float(unscaled.blocks[0].mlp.output.weight.detach().std()) == pytest.approx(0.02, rel=0.03)


def test_a_model_built_on_the_meta_device_can_be_initialised_later() -> None:
    settings = GPTConfig(layers=2, heads=2, width=8, context=6)
    with torch.device("meta"):
        model = settings.build(attention=DenseAttentionConfig(), vocabulary=V)
    model.to_empty(device="cpu")
    other = settings.build(attention=DenseAttentionConfig(), vocabulary=V)
    for each in (model, other):
        torch.manual_seed(4)
        each.reset_parameters()
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))


def test_dropout_is_applied_only_in_training() -> None:
    model = build(dropout=0.5)
    tokens = torch.randint(0, V, (1, 20))
    assert torch.equal(model(tokens), model(tokens))
    model.train()
    assert not torch.equal(model(tokens), model(tokens))


def test_the_padded_output_matrix_gives_the_same_logits_and_gradients() -> None:
    hidden = torch.randn(3, 5, 8, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(V, 8, dtype=torch.float64, requires_grad=True)
    assert padded_logits(hidden, weight).shape == (3, 5, V)
    result = []
    for function in (padded_logits, F.linear):
        logits = function(hidden, weight)
        result.append((logits, *torch.autograd.grad(logits.log_softmax(-1)[..., 3].sum(), (hidden, weight))))
    torch.testing.assert_close(result[0], result[1], rtol=0, atol=1e-12)


def test_checkpoints_with_a_padded_vocabulary_load() -> None:
    model, other = build(), build()
    state = {name: tensor.clone() + 1 for name, tensor in model.state_dict().items()}
    assert state["wte.weight"].shape[0] == V
    state["wte.weight"] = torch.cat([state["wte.weight"], torch.zeros(64 - V, 16)])
    other.load_state_dict(state)
    assert torch.equal(other.wte.weight, model.wte.weight + 1)
    state["wte.weight"] = torch.zeros(V + 1, 16)
    with pytest.raises(RuntimeError, match=r"wte\.weight"):
        other.load_state_dict(state)


def test_sequences_longer_than_the_context_raise() -> None:
    model = build()
    with pytest.raises(ValueError, match="21 tokens is longer than the model's context of 20"):
        model(torch.zeros(1, 21, dtype=torch.int64))
    with pytest.raises(ValueError, match="longer than the model's context of 20"):
        model.cache(1, 21)
    cache = model.cache(1, 4)
    with pytest.raises(ValueError, match="5 tokens does not fit into a cache of 4"):
        model(torch.zeros(1, 5, dtype=torch.int64), cache=cache)


def test_packed_documents_do_not_attend_to_one_another() -> None:
    model = build(AlternatingAttentionConfig(window=3))
    tokens = torch.randint(0, V, (1, 12))
    segments = torch.tensor([[0] * 5 + [1] * 7])
    changed = tokens.clone()
    changed[0, :5] = (changed[0, :5] + 1) % V
    assert torch.equal(model(tokens, segments=segments)[0, 5:], model(changed, segments=segments)[0, 5:])
    assert not torch.equal(model(tokens)[0, 5:], model(changed)[0, 5:])


@pytest.mark.parametrize(
    "attention", [DenseAttentionConfig(), BandedAttentionConfig(window=3), AlternatingAttentionConfig(window=4)]
)
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_cached_decoding_gives_the_hidden_states_of_whole_rows(attention: Any, norm: str, ragged: Callable[..., Any]) -> None:
    with torch.inference_mode():
        for cached, whole in ragged(build(attention, norm=norm).double()):
            torch.testing.assert_close(cached, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("attention", [DenseAttentionConfig(), BandedAttentionConfig(window=3)])
def test_reading_a_row_in_chunks_gives_the_same_hidden_states(attention: Any) -> None:
    model = build(attention).double()
    rows = torch.randint(0, V, (2, 20))
    with torch.inference_mode():
        cache = model.cache(2, 20)
        pieces = [model(rows[:, first:last], cache=cache) for first, last in [(0, 1), (1, 6), (6, 7), (7, 8), (8, 20)]]
        torch.testing.assert_close(torch.cat(pieces, 1), model(rows), rtol=0, atol=1e-12)
        with pytest.raises(ValueError, match="21 tokens does not fit"):
            model(rows[:, :1], cache=cache)


class RunningMean(Attention):
    """A third-party attention that averages all values so far, whose cache is a sum instead of keys and values."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.output = nn.Linear(width, width)

    def reset_parameters(self) -> None:
        nn.init.constant_(self.scale, 3.0)

    def forward(self, x: Tensor, *, cache: AttentionCache | None = None, segments: Tensor | None = None) -> Tensor:
        sums = (x * self.scale).cumsum(1)  # (B, T, D)
        counts = torch.arange(1, x.shape[1] + 1)[None, :, None]
        if cache is not None:
            assert isinstance(cache, Sum)
            sums, counts = sums + cache.total, counts + cache.count
            last = torch.tensor(cache.positions.counts)[:, None, None] - 1
            cache.total, cache.count = sums.take_along_dim(last, 1), counts.expand(len(x), -1, -1).take_along_dim(last, 1)
        return self.output(sums / counts)

    def cache(self, batch: int, length: int) -> AttentionCache:
        return Sum()


class Sum(AttentionCache):
    total: Tensor | float = 0.0
    count: Tensor | int = 0

    def select(self, rows: Tensor) -> None:
        assert isinstance(self.total, Tensor)
        assert isinstance(self.count, Tensor)
        self.total, self.count = self.total[rows], self.count[rows]


class Mean(AttentionConfig):
    name: str = "mean"

    def build(self, *, width: int, heads: int, context: int, dropout: float, layer: int, layers: int) -> Attention:
        return RunningMean(width)


def test_a_third_party_attention_has_its_own_cache_and_initial_weights() -> None:
    torch.manual_seed(0)
    model = GPTConfig(layers=8, heads=2, width=128, context=20).build(attention=Mean(), vocabulary=V).double().eval()
    attention = model.blocks[0].attention
    assert (attention.scale == 3).all()
    assert float(attention.output.weight.detach().std()) == pytest.approx(0.02 / math.sqrt(16), rel=0.05)
    rows = torch.randint(0, V, (2, 9))
    with torch.inference_mode():
        whole, cache = model(rows), model.cache(2, 9)
        cache.receive(torch.tensor([4, 2]))
        model(rows[:, :4], cache=cache)
        cache.select(torch.tensor([1, 0]))
        following = model(torch.stack([rows[1, 2], rows[0, 4]])[:, None], cache=cache)[:, 0]
    torch.testing.assert_close(following, torch.stack([whole[1, 2], whole[0, 4]]), rtol=0, atol=1e-12)
