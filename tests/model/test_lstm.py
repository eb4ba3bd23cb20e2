from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from gptkit.attention import BandedAttentionConfig, DenseAttentionConfig
from gptkit.errors import ConfigError
from gptkit.generation.decoder import Decoder
from gptkit.interop.huggingface import export_model
from gptkit.model import LSTMConfig
from gptkit.model.base import parameter_count
from gptkit.model.lstm import LSTM, document_lengths
from gptkit.model.packed_weights import pack_weights
from gptkit.tokenizer import BytesTokenizerConfig
from gptkit.training.strategies import apply_fsdp

V = 37


def build(**settings: object) -> LSTM:
    """A small model in evaluation mode with weights so large that each of them affects the output."""
    torch.manual_seed(0)
    part = LSTMConfig(**({"layers": 2, "width": 16, "units": 24, "context": 20} | settings))  # type: ignore[arg-type]
    model = part.build(attention=DenseAttentionConfig(), vocabulary=V)
    assert isinstance(model, LSTM)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize(("layers", "width", "units"), [(1, 768, 2048), (3, 24, 40), (2, 30, 7)])
def test_parameter_count_matches_the_formula(layers: int, width: int, units: int) -> None:
    with torch.device("meta"):
        model = LSTMConfig(layers=layers, width=width, units=units).build(attention=DenseAttentionConfig(), vocabulary=V)
    inputs = [width] + [units] * (layers - 1)
    recurrences = sum(4 * units * (size + units + 2) for size in inputs)  # four gates with two biases each
    norms = 2 * sum(inputs) + 2 * width
    assert parameter_count(model) == V * width + recurrences + (units + 1) * width + norms


def plain_lstm(w: dict[str, Tensor], tokens: Tensor, *, layers: int) -> Tensor:
    """Compute logits from the weights by the equations."""

    def normed(name: str, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    rows = list(w["wte.weight"][tokens])
    for layer in range(layers):
        of = {name: w[f"blocks.{layer}.lstm.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        rows = [normed(f"blocks.{layer}.norm", x) for x in rows]
        units = of["weight_hh"].shape[1]
        h = c = torch.zeros(units, dtype=rows[0].dtype)
        for t, x in enumerate(rows):
            i, f, g, o = (of["weight_ih"] @ x + of["bias_ih"] + of["weight_hh"] @ h + of["bias_hh"]).split(units)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            rows[t] = h
    hidden = normed("norm", torch.stack(rows) @ w["output.weight"].T + w["output.bias"])
    return hidden @ w["wte.weight"].T


@pytest.mark.parametrize("layers", [1, 3])
def test_logits_match_the_equations(layers: int) -> None:
    model = build(layers=layers).double()
    tokens = torch.randint(0, V, (2, 20))
    expected = torch.stack([plain_lstm(model.state_dict(), row, layers=layers) for row in tokens])
    logits = model.logits(model(tokens))
    assert logits.shape == (2, 20, V)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)


def test_attention_and_heads_have_no_effect_on_an_lstm() -> None:
    settings = LSTMConfig(layers=1, width=10, heads=3, units=8)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        one = settings.build(attention=DenseAttentionConfig(), vocabulary=V)
        torch.manual_seed(1)
        other = settings.build(attention=BandedAttentionConfig(window=2), vocabulary=V)
    tokens = torch.randint(0, V, (1, 9))
    assert torch.equal(one(tokens), other(tokens))


def test_a_model_built_on_the_meta_device_can_be_initialised_later() -> None:
    settings = LSTMConfig(layers=2, width=8, units=12)
    with torch.device("meta"):
        model = settings.build(attention=DenseAttentionConfig(), vocabulary=V)
    model.to_empty(device="cpu")
    other = settings.build(attention=DenseAttentionConfig(), vocabulary=V)
    for each in (model, other):
        torch.manual_seed(4)
        each.reset_parameters()
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))
    tokens = torch.randint(0, V, (1, 9))
    assert torch.equal(model(tokens), other(tokens))


def test_dropout_is_applied_only_in_training() -> None:
    model = build(dropout=0.5, layers=1)
    tokens = torch.randint(0, V, (1, 20))
    segments = torch.tensor([[0] * 8 + [1] * 12])
    assert torch.equal(model(tokens), model(tokens))
    model.train()
    assert not torch.equal(model(tokens), model(tokens))
    assert not torch.equal(model(tokens, segments=segments), model(tokens, segments=segments))


def test_sequences_longer_than_the_context_raise() -> None:
    model = build()
    with pytest.raises(ValueError, match="21 tokens is longer than the model's context of 20"):
        model(torch.zeros(1, 21, dtype=torch.int64))
    with pytest.raises(ValueError, match="longer than the model's context of 20"):
        model.cache(1, 21)
    with pytest.raises(ValueError, match="5 tokens does not fit into a cache of 4"):
        model(torch.zeros(1, 5, dtype=torch.int64), cache=model.cache(1, 4))


def test_packed_documents_give_the_hidden_states_of_separate_documents() -> None:
    model = build().double()
    tokens = torch.randint(0, V, (3, 12))
    segments = torch.tensor([[0] * 5 + [1] * 7, [4] * 12, [0, 1, 2, 2, 2, 2, 7, 7, 7, 7, 7, 9]])
    assert document_lengths(segments) == [5, 7, 12, 1, 1, 4, 5, 1]
    together = model(tokens, segments=segments)
    assert together.shape == (3, 12, 16)
    pieces = zip(tokens.flatten().split(document_lengths(segments)), strict=True)
    apart = torch.cat([model(piece.unsqueeze(0))[0] for (piece,) in pieces])
    torch.testing.assert_close(together.flatten(0, 1), apart, rtol=0, atol=1e-12)
    result, expected = (torch.autograd.grad(each.pow(2).sum(), list(model.parameters())) for each in (together, apart))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("layers", [1, 3])
def test_cached_decoding_gives_the_hidden_states_of_whole_rows(layers: int, ragged: Callable[..., Any]) -> None:
    with torch.inference_mode():
        for cached, whole in ragged(build(layers=layers).double()):
            torch.testing.assert_close(cached, whole, rtol=0, atol=1e-12)


def test_reading_a_row_in_chunks_gives_the_same_hidden_states() -> None:
    model = build().double()
    rows = torch.randint(0, V, (2, 20))
    with torch.inference_mode():
        cache = model.cache(2, 20)
        pieces = [model(rows[:, first:last], cache=cache) for first, last in [(0, 1), (1, 6), (6, 7), (7, 8), (8, 20)]]
        torch.testing.assert_close(torch.cat(pieces, 1), model(rows), rtol=0, atol=1e-12)
        with pytest.raises(ValueError, match="21 tokens does not fit"):
            model(rows[:, :1], cache=cache)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_decoding_with_packed_weights_gives_the_logits_of_whole_rows(dtype: torch.dtype) -> None:
    model = build().to(dtype)
    packed = copy.deepcopy(model)
    pack_weights(packed, min_entries=1)
    close: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.05, "atol": 0.1}
    decoder = Decoder(packed, [[1, 2, 3], [4]], [2, 1], length=6)
    decoder.feed(torch.tensor([5, 6, 7]))
    with torch.inference_mode():
        for row, tokens in enumerate([[1, 2, 3, 5], [1, 2, 3, 6], [4, 7]]):
            torch.testing.assert_close(decoder.logits[row], model.logits(model(torch.tensor([tokens])))[0, -1], **close)


def test_an_lstm_trains_and_decodes_under_autocast() -> None:
    model = build()
    tokens = torch.randint(0, V, (2, 9))
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.logits(model(tokens, segments=torch.tensor([[0] * 9, [0] * 3 + [1] * 6])))
        logits.float().logsumexp(-1).sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        decoder = Decoder(model, [[1, 2, 3], [4]], [1, 1], length=5)
        decoder.feed(torch.tensor([5, 6]))
    with torch.inference_mode():
        expected = model.logits(model(torch.tensor([[1, 2, 3, 5]])))[0, -1]
    torch.testing.assert_close(decoder.logits[0].float(), expected, rtol=0.05, atol=0.1)


def test_an_lstm_is_not_exported_in_the_format_of_a_gpt(tmp_path: Path) -> None:
    tokenizer = BytesTokenizerConfig().build(texts=[])
    with pytest.raises(ConfigError, match="can express only model=gpt, not LSTM"):
        export_model(build(), tokenizer, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("alone")
def test_a_sharded_lstm_has_the_same_gradients_and_decodes() -> None:
    plain, sharded = build(), build()
    apply_fsdp(sharded, dist.device_mesh.init_device_mesh("cpu", (1,)), "32-true")
    tokens = torch.randint(0, V, (2, 12))
    for segments in (None, torch.tensor([[0] * 5 + [1] * 7, [0] * 12])):
        result = []
        for model in (plain, sharded):
            model.zero_grad()
            model.logits(model(tokens, segments=segments)).log_softmax(-1)[..., 5].sum().backward()
            result.append([getattr(p.grad, "full_tensor", lambda p=p: p.grad)() for p in model.parameters()])
        torch.testing.assert_close(*result)
    decoder = Decoder(sharded, [[1, 2, 3], [4]], [1, 1], length=5)
    torch.testing.assert_close(decoder.logits[1], plain.logits(plain(torch.tensor([[4]])))[0, -1])
    decoder.close()
