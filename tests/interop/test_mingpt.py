from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from gptkit.attention import DenseAttentionConfig
from gptkit.errors import CheckpointError
from gptkit.interop.mingpt import from_mingpt

LAYERS, HEADS, WIDTH, VOCABULARY, CONTEXT = 2, 3, 12, 7, 11


def mingpt_state(*, biases: bool) -> dict[str, torch.Tensor]:
    """Return random weights with minGPT's names, in the orientation of nn.Linear."""
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.wte.weight": (VOCABULARY, WIDTH),
        "transformer.wpe.weight": (CONTEXT, WIDTH),
        "lm_head.weight": (VOCABULARY, WIDTH),
    }
    for layer in range(LAYERS):
        for name, rows, columns in [
            ("attn.c_attn", 3 * WIDTH, WIDTH),
            ("attn.c_proj", WIDTH, WIDTH),
            ("mlp.c_fc", 4 * WIDTH, WIDTH),
            ("mlp.c_proj", WIDTH, 4 * WIDTH),
        ]:
            shapes[f"transformer.h.{layer}.{name}.weight"] = (rows, columns)
            shapes[f"transformer.h.{layer}.{name}.bias"] = (rows,)
        for name in ("ln_1", "ln_2"):
            shapes[f"transformer.h.{layer}.{name}.weight"] = shapes[f"transformer.h.{layer}.{name}.bias"] = (WIDTH,)
    shapes["transformer.ln_f.weight"] = shapes["transformer.ln_f.bias"] = (WIDTH,)
    torch.manual_seed(0)
    state = {name: 0.5 * torch.randn(shape) for name, shape in shapes.items()}
    return {name: tensor for name, tensor in state.items() if biases or not name.endswith(".bias")}


def plain_mingpt(state: dict[str, torch.Tensor], tokens: torch.Tensor) -> torch.Tensor:
    """Compute the logits (T, V) of one sequence as minGPT does."""

    def get(name: str) -> tuple[torch.Tensor, torch.Tensor | None]:
        return state[f"transformer.{name}.weight"], state.get(f"transformer.{name}.bias")

    t = len(tokens)
    x = state["transformer.wte.weight"][tokens] + state["transformer.wpe.weight"][:t]
    for layer in range(LAYERS):
        q, k, v = F.linear(F.layer_norm(x, (WIDTH,), *get(f"h.{layer}.ln_1")), *get(f"h.{layer}.attn.c_attn")).chunk(3, -1)
        heads = []
        for part in torch.arange(WIDTH).chunk(HEADS):
            scores = q[:, part] @ k[:, part].T / math.sqrt(WIDTH // HEADS)
            heads.append(scores.masked_fill(torch.ones(t, t).triu(1) == 1, -math.inf).softmax(-1) @ v[:, part])
        x = x + F.linear(torch.cat(heads, -1), *get(f"h.{layer}.attn.c_proj"))
        u = F.linear(F.layer_norm(x, (WIDTH,), *get(f"h.{layer}.ln_2")), *get(f"h.{layer}.mlp.c_fc"))
        gelu = 0.5 * u * (1 + torch.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))
        x = x + F.linear(gelu, *get(f"h.{layer}.mlp.c_proj"))
    return F.layer_norm(x, (WIDTH,), *get("ln_f")) @ state["lm_head.weight"].T


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_mingpt_and_nanogpt_models_have_equal_logits(biases: Any, tied: bool) -> None:
    state = mingpt_state(biases=biases)
    if tied:
        state["lm_head.weight"] = state["transformer.wte.weight"]
    masks = {f"transformer.h.{layer}.attn.bias": torch.ones(1, 1, CONTEXT, CONTEXT).tril() for layer in range(LAYERS)}
    saved = {f"_orig_mod.{name}": tensor for name, tensor in (state | masks).items()}
    settings, vocabulary, weights = from_mingpt(saved, heads=HEADS)
    assert (settings.layers, settings.width, settings.context, settings.tied) == (LAYERS, WIDTH, CONTEXT, tied)
    model = settings.build(attention=DenseAttentionConfig(), vocabulary=vocabulary).eval()
    model.load_state_dict(weights)
    tokens = torch.randint(0, VOCABULARY, (CONTEXT,))
    with torch.inference_mode():
        torch.testing.assert_close(model.logits(model(tokens[None]))[0], plain_mingpt(state, tokens), rtol=0, atol=1e-5)


def test_unknown_weight_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"model\.layers\.0\.w is not a weight"):
        from_mingpt({"model.layers.0.w": torch.zeros(1)}, heads=1)


@pytest.mark.parametrize("name", ["wte.weight", "wpe.weight", "h.0.attn.c_attn.weight", "h.1.mlp.c_proj.weight", "ln_f.weight"])
def test_missing_weight_is_named(name: str) -> None:
    state = mingpt_state(biases=True)
    del state[f"transformer.{name}"]
    with pytest.raises(CheckpointError, match=rf"transformer\.{name} is missing"):
        from_mingpt(state, heads=HEADS)
