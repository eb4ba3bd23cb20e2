"""Imports weights of minGPT and nanoGPT: OpenAI's names in the orientation of `nn.Linear`.

nanoGPT trains with the exact GELU; minGPT, OpenAI's weights and gptkit use the tanh form. Logits of a model that was trained with
the exact form differ slightly.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gptkit.errors import CheckpointError
from gptkit.interop.weight_names import GPT2_NAMES, block_weight_names
from gptkit.model import GPTConfig


def from_mingpt(state: Mapping[str, Tensor], *, heads: int) -> tuple[GPTConfig, int, dict[str, Tensor]]:
    """Convert a state_dict of minGPT or nanoGPT to the settings, vocabulary size and weights of a `GPT`.

    Args:
        state: the saved state_dict, also of a compiled model; biases that nanoGPT omits with bias=False become zero.
        heads: attention heads, which cannot be derived from the weights.

    Returns:
        The model's settings, the number V of rows of its embedding, and a state_dict for `settings.build(...)`.

    Raises:
        CheckpointError: a name is not a weight of such a model, or a weight is missing.
    """
    weights: dict[str, Tensor] = {}
    for name, tensor in state.items():
        try:
            gptkit_name = GPT2_NAMES.from_external(name.removeprefix("_orig_mod."))
        except KeyError:
            raise CheckpointError(f"{name} is not a weight of a minGPT or nanoGPT model") from None
        if gptkit_name is not None:
            weights[gptkit_name] = tensor
    for name in [name for name in weights if name.startswith(("blocks.", "norm.")) and name.endswith(".weight")]:
        weights.setdefault(name.removesuffix("weight") + "bias", torch.zeros(weights[name].shape[0], dtype=weights[name].dtype))
    layers = 1 + max((int(name.split(".")[1]) for name in weights if name.startswith("blocks.")), default=0)
    for name in ("wte.weight", "wpe.weight", *block_weight_names(layers), "norm.weight", "norm.bias"):
        if name not in weights:
            raise CheckpointError(f"{GPT2_NAMES.to_external(name)} is missing: pass the full state_dict")
    tied = "head.weight" not in weights or torch.equal(weights["head.weight"], weights["wte.weight"])
    if tied:
        weights.pop("head.weight", None)
    settings = GPTConfig(
        layers=layers,
        heads=heads,
        width=weights["wte.weight"].shape[1],
        context=weights["wpe.weight"].shape[0],
        tied=tied,
    )
    return settings, weights["wte.weight"].shape[0], weights
