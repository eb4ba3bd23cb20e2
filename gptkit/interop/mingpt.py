"""Weights of minGPT and nanoGPT: OpenAI's names, `nn.Linear`'s orientation.

nanoGPT's own runs use the exact GELU, minGPT and OpenAI's weights its tanh form, which the kit computes too: logits of a model that
was trained with the exact form differ a little.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gptkit.errors import CheckpointError
from gptkit.interop.weight_names import GPT2_NAMES, in_blocks
from gptkit.model import GPTConfig


def from_mingpt(state: Mapping[str, Tensor], *, heads: int) -> tuple[GPTConfig, int, dict[str, Tensor]]:
    """Settings, vocabulary and weights of a `GPT` from a state_dict of minGPT or nanoGPT.

    Args:
        state: as saved, also from a compiled model; biases that a nanoGPT with bias=False lacks become zero.
        heads: attention heads, which no weight tells.

    Returns:
        The model's settings, the number V of rows of its embedding, and a state_dict for `settings.build(...)`.

    Raises:
        CheckpointError: a name is none of such a model's, or one of its weights is missing.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        try:
            ours = GPT2_NAMES.to_ours(name.removeprefix("_orig_mod."))
        except KeyError:
            raise CheckpointError(f"{name} is no weight of a minGPT or nanoGPT model") from None
        if ours is not None:
            found[ours] = tensor
    for name in [name for name in found if name.startswith(("blocks.", "norm.")) and name.endswith(".weight")]:
        found.setdefault(name.removesuffix("weight") + "bias", torch.zeros(found[name].shape[0], dtype=found[name].dtype))
    layers = 1 + max((int(name.split(".")[1]) for name in found if name.startswith("blocks.")), default=0)
    for name in ("wte.weight", "wpe.weight", *in_blocks(layers), "norm.weight", "norm.bias"):
        if name not in found:
            raise CheckpointError(f"{GPT2_NAMES.to_theirs(name)} is missing: give the whole state_dict of such a model")
    tied = "head.weight" not in found or torch.equal(found["head.weight"], found["wte.weight"])
    if tied:
        found.pop("head.weight", None)
    settings = GPTConfig(
        layers=layers,
        heads=heads,
        width=found["wte.weight"].shape[1],
        context=found["wpe.weight"].shape[0],
        tied=tied,
    )
    return settings, found["wte.weight"].shape[0], found
