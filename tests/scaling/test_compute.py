"""Parameters and operations, compared with papers, built models, and PyTorch's own counter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import gptkit
from gptkit.attention import AlternatingAttentionConfig, AttentionConfig, BandedAttentionConfig, DenseAttentionConfig
from gptkit.command import PlanCommand
from gptkit.model import GPTConfig, LSTMConfig
from gptkit.scaling.compute import (
    attention_flops_per_token,
    flops_per_token,
    forward_flops_per_token,
    parameters,
    parameters_by_part,
    pf_days,
)
from gptkit.scaling.meta_device_counts import count_forward_flops, count_parameters

# "Language Models are Few-Shot Learners", table D.1: training compute in PF-days and parameters in millions
TABLE_D1 = {
    "125m": (2.60, 125),
    "350m": (7.42, 356),
    "760m": (15.8, 760),
    "1.3b": (27.5, 1_320),
    "2.7b": (55.2, 2_650),
    "6.7b": (139, 6_660),
    "13b": (268, 12_850),
    "175b": (3_640, 174_600),
}
GPT2_SIZES = {"124m": 124_439_808, "355m": 354_823_168, "774m": 774_030_080, "1558m": 1_557_611_200}
ATTENTIONS = [
    DenseAttentionConfig(),
    BandedAttentionConfig(window=5),
    AlternatingAttentionConfig(window=5),
    AlternatingAttentionConfig(window=5, first="banded"),
]


def settings_of(paper: str) -> PlanCommand:
    settings = gptkit.compose("plan", [f"+{paper}"]).settings
    assert isinstance(settings, PlanCommand)
    return settings


@pytest.mark.parametrize(("size", "count"), GPT2_SIZES.items())
def test_gpt2_has_exactly_the_released_parameters(size: str, count: int) -> None:
    settings = settings_of(f"gpt2={size}")
    assert parameters(settings.model, settings.attention, 50_257) == count


def test_gpt1_has_exactly_the_released_parameters() -> None:
    model = GPTConfig(layers=12, width=768, heads=12, context=512, norm="post")
    assert parameters(model, DenseAttentionConfig(), 40_478) == 116_534_784


@pytest.mark.parametrize("size", TABLE_D1)
def test_gpt3_agrees_with_table_d1(size: str) -> None:
    settings, (days, millions) = settings_of(f"gpt3={size}"), TABLE_D1[size]
    count = parameters(settings.model, settings.attention, 50_257)
    assert settings.tokens == 300_000_000_000
    assert pf_days(count, settings.tokens) == pytest.approx(days, rel=0.03)
    assert count / 1e6 == pytest.approx(millions, rel=0.004)


@pytest.mark.parametrize("attention", ATTENTIONS, ids=repr)
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("tied", [True, False])
def test_parameter_formula_matches_the_built_model(attention: AttentionConfig, norm: str, tied: bool) -> None:
    model = GPTConfig(layers=3, width=24, heads=2, context=16, norm=norm, tied=tied)
    built = model.build(attention=attention, vocabulary=101)
    by_module: dict[str, Any] = {
        "embeddings": built.wte,
        "positions": built.wpe,
        "attention": torch.nn.ModuleList(block.attention for block in built.blocks),
        "mlp": torch.nn.ModuleList(block.mlp for block in built.blocks),
    }
    counted = parameters_by_part(model, attention, 101)
    for part, module in by_module.items():
        assert counted[part] == sum(p.numel() for p in module.parameters()), part
    assert sum(counted.values()) == sum(p.numel() for p in built.parameters())


@pytest.mark.parametrize("attention", ATTENTIONS, ids=repr)
def test_keys_per_query_equals_the_mean_row_sum_of_the_mask(attention: AttentionConfig) -> None:
    for context in (3, 5, 12):
        for layer in range(3):
            window = context
            if isinstance(attention, BandedAttentionConfig):
                window = attention.window
            if isinstance(attention, AlternatingAttentionConfig) and (layer % 2 == 0) == (attention.first == "banded"):
                window = attention.window
            slow = sum(sum(0 <= query - key < window for key in range(context)) for query in range(context)) / context
            assert attention.keys_per_query(context=context, layer=layer, layers=3) == pytest.approx(slow)


def test_operations_match_those_counted_by_pytorch() -> None:
    model = GPTConfig(layers=2, width=32, heads=4, context=16)
    built = model.build(attention=DenseAttentionConfig(), vocabulary=97)
    tokens = torch.zeros(3, 16, dtype=torch.int64)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # the counter supports its products
        built.logits(built(tokens))
    forward = counter.get_total_flops()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        built.logits(built(tokens)).sum().backward()
    both = counter.get_total_flops()
    n, d, t, layers = tokens.numel(), 32, 16, 2
    hidden_half = 4 * d * (t - (t + 1) / 2) * layers * n  # this kernel also computes the scores that the causal mask hides
    assert forward == forward_flops_per_token(model, DenseAttentionConfig(), 97) * n + hidden_half
    assert both == flops_per_token(model, DenseAttentionConfig(), 97) * n + 3 * hidden_half


def test_banded_layers_need_fewer_operations() -> None:
    model = GPTConfig(layers=4, width=32, heads=4, context=64)
    dense, banded, mixed = (
        attention_flops_per_token(model, a)
        for a in (DenseAttentionConfig(), BandedAttentionConfig(window=8), AlternatingAttentionConfig(window=8))
    )
    assert banded < mixed < dense
    assert mixed == pytest.approx((dense + banded) / 2)


def test_third_party_models_are_counted_on_the_meta_device() -> None:
    """The count for third-party models agrees with the formulas where both apply."""
    model = GPTConfig(layers=2, width=32, heads=4, context=16)
    counted = count_parameters(model, AlternatingAttentionConfig(window=4), 97)
    assert sum(counted.values()) == parameters(model, AlternatingAttentionConfig(window=4), 97)
    assert count_forward_flops(model, AlternatingAttentionConfig(window=4), 97) == forward_flops_per_token(
        model, AlternatingAttentionConfig(window=4), 97
    )
    untied = GPTConfig(layers=2, width=32, heads=4, context=16, tied=False)
    assert count_forward_flops(untied, DenseAttentionConfig(), 97) == forward_flops_per_token(untied, DenseAttentionConfig(), 97)


@pytest.mark.parametrize("layers", [1, 3])
def test_lstm_operations_are_counted_from_its_weights(layers: int) -> None:
    model = LSTMConfig(layers=layers, width=24, units=40, context=16)
    matrices = 4 * 40 * (24 + 40 + (layers - 1) * 80) + 40 * 24
    biases, norms = 8 * 40 * layers + 24, 2 * (24 + 40 * (layers - 1) + 24)
    assert parameters_by_part(model, BandedAttentionConfig(window=4), 97) == {
        "embeddings": 97 * 24,
        "other": matrices + biases,
        "norms": norms,
    }
    assert forward_flops_per_token(model, BandedAttentionConfig(window=4), 97) == 2 * (matrices + 24 * 97)
    assert attention_flops_per_token(model, BandedAttentionConfig(window=4)) == 0
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        built = model.build(attention=DenseAttentionConfig(), vocabulary=97)
        built.logits(built(torch.zeros(3, 16, dtype=torch.int64)))
    assert counter.get_total_flops() == 3 * 16 * forward_flops_per_token(model, DenseAttentionConfig(), 97)


class Strange(BandedAttentionConfig):
    """A third-party attention without a formula."""

    name = "strange"


def test_third_party_attention_is_counted_on_the_meta_device() -> None:
    model = GPTConfig(layers=3, width=32, heads=4, context=16)
    strange, known = Strange(window=4), BandedAttentionConfig(window=4)
    assert parameters_by_part(model, strange, 97) == parameters_by_part(model, known, 97)
    assert flops_per_token(model, strange, 97) == flops_per_token(model, known, 97)
