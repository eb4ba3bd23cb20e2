"""The names of a GPT's weights here and in OpenAI's layouts: GPT-1's, and GPT-2's, which minGPT and nanoGPT share."""

from __future__ import annotations

import re
from dataclasses import dataclass

_INSIDE = {
    "attention.qkv": "attn.c_attn",
    "attention.output": "attn.c_proj",
    "norm_1": "ln_1",
    "mlp.input": "mlp.c_fc",
    "mlp.output": "mlp.c_proj",
    "norm_2": "ln_2",
}
"""A block's modules, theirs in the order in which GPT-1's released code makes them."""

_INSIDE_BACK = {theirs: ours for ours, theirs in _INSIDE.items()}
_BUFFER = re.compile(r"position_ids|h\.\d+\.attn\.(bias|masked_bias)")  # causal masks and the like, no weights


@dataclass(frozen=True)
class Names:
    """A layout: what it calls the modules outside its blocks, by the kit's names."""

    outside: dict[str, str]

    def to_theirs(self, name: str) -> str:
        """`blocks.0.mlp.input.weight` becomes `transformer.h.0.mlp.c_fc.weight`."""
        if name == "head.weight":
            return "lm_head.weight"
        module, _, kind = name.rpartition(".")
        inside = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
        return f"transformer.h.{inside[1]}.{_INSIDE[inside[2]]}.{kind}" if inside else f"transformer.{self.outside[module]}.{kind}"

    def to_ours(self, name: str) -> str | None:
        """The other way, with or without the prefix `transformer.`; None for a buffer.

        Raises:
            KeyError: no weight of such a model has this name.
        """
        if name == "lm_head.weight":
            return "head.weight"
        name = name.removeprefix("transformer.")
        if _BUFFER.fullmatch(name):
            return None
        module, _, kind = name.rpartition(".")
        inside = re.fullmatch(r"h\.(\d+)\.(.+)", module)
        if inside:
            return f"blocks.{inside[1]}.{_INSIDE_BACK[inside[2]]}.{kind}"
        back = {theirs: ours for ours, theirs in self.outside.items()}
        return f"{back[module]}.{kind}"


GPT1_NAMES = Names({"wte": "tokens_embed", "wpe": "positions_embed"})
GPT2_NAMES = Names({"wte": "wte", "wpe": "wpe", "norm": "ln_f"})


def in_blocks(layers: int) -> list[str]:
    """The weights of all blocks in the kit's names, in the order in which GPT-1's released code makes them."""
    return [f"blocks.{layer}.{module}.{kind}" for layer in range(layers) for module in _INSIDE for kind in ("weight", "bias")]


def stored_transposed(name: str) -> bool:
    """Whether OpenAI's and Hugging Face's files hold this weight (the kit's name) as (in, out), not (out, in)."""
    return bool(re.fullmatch(r"blocks\.\d+\.(attention|mlp)\..+\.weight", name))
