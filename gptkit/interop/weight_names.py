"""Translates weight names between gptkit and OpenAI's GPT-1 and GPT-2. minGPT and nanoGPT use those of GPT-2."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BLOCK_MODULES = {
    "attention.qkv": "attn.c_attn",
    "attention.output": "attn.c_proj",
    "norm_1": "ln_1",
    "mlp.input": "mlp.c_fc",
    "mlp.output": "mlp.c_proj",
    "norm_2": "ln_2",
}
"""OpenAI's names of the modules of a block by gptkit's names, in the order in which GPT-1's released code creates them."""

_GPTKIT_BLOCK_MODULES = {external: name for name, external in _BLOCK_MODULES.items()}
_BUFFER_NAME = re.compile(r"position_ids|h\.\d+\.attn\.(bias|masked_bias)")  # causal masks and other buffers


@dataclass(frozen=True)
class WeightNames:
    """The weight names of one format."""

    outside: dict[str, str]
    """The names of the modules outside the blocks, by gptkit's names."""

    def to_external(self, name: str) -> str:
        """Return the external name: `transformer.h.0.mlp.c_fc.weight` for `blocks.0.mlp.input.weight`."""
        if name == "head.weight":
            return "lm_head.weight"
        module, _, kind = name.rpartition(".")
        inside = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
        return (
            f"transformer.h.{inside[1]}.{_BLOCK_MODULES[inside[2]]}.{kind}"
            if inside
            else f"transformer.{self.outside[module]}.{kind}"
        )

    def from_external(self, name: str) -> str | None:
        """Return gptkit's name for an external name, with or without the prefix `transformer.`; None for a buffer.

        Raises:
            KeyError: the format has no weight of this name.
        """
        if name == "lm_head.weight":
            return "head.weight"
        name = name.removeprefix("transformer.")
        if _BUFFER_NAME.fullmatch(name):
            return None
        module, _, kind = name.rpartition(".")
        inside = re.fullmatch(r"h\.(\d+)\.(.+)", module)
        if inside:
            return f"blocks.{inside[1]}.{_GPTKIT_BLOCK_MODULES[inside[2]]}.{kind}"
        gptkit_names = {external: name for name, external in self.outside.items()}
        return f"{gptkit_names[module]}.{kind}"


GPT1_NAMES = WeightNames({"wte": "tokens_embed", "wpe": "positions_embed"})
GPT2_NAMES = WeightNames({"wte": "wte", "wpe": "wpe", "norm": "ln_f"})


def block_weight_names(layers: int) -> list[str]:
    """Return gptkit's names of the weights of all blocks, in the order in which GPT-1's released code creates them."""
    return [
        f"blocks.{layer}.{module}.{kind}" for layer in range(layers) for module in _BLOCK_MODULES for kind in ("weight", "bias")
    ]


def is_stored_transposed(name: str) -> bool:
    """Return whether the files of OpenAI and Hugging Face store this weight (gptkit's name) as (in, out), not (out, in)."""
    return bool(re.fullmatch(r"blocks\.\d+\.(attention|mlp)\..+\.weight", name))
