"""The names of a GPT's weights here, and in OpenAI's layout, which Hugging Face, minGPT and nanoGPT share."""

from __future__ import annotations

import re

_INSIDE = {
    "norm_1": "ln_1",
    "attention.qkv": "attn.c_attn",
    "attention.output": "attn.c_proj",
    "norm_2": "ln_2",
    "mlp.input": "mlp.c_fc",
    "mlp.output": "mlp.c_proj",
}
_OUTSIDE = {"wte": "wte", "wpe": "wpe", "norm": "ln_f"}
_INSIDE_BACK = {theirs: ours for ours, theirs in _INSIDE.items()}
_OUTSIDE_BACK = {theirs: ours for ours, theirs in _OUTSIDE.items()}
_BUFFER = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")  # their causal masks, no weights


def to_openai(name: str) -> str:
    """`blocks.0.mlp.input.weight` becomes `transformer.h.0.mlp.c_fc.weight`."""
    if name == "head.weight":
        return "lm_head.weight"
    module, _, kind = name.rpartition(".")
    inside = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
    return f"transformer.h.{inside[1]}.{_INSIDE[inside[2]]}.{kind}" if inside else f"transformer.{_OUTSIDE[module]}.{kind}"


def from_openai(name: str) -> str | None:
    """The other way, with or without the prefix `transformer.`; None for a buffer.

    Raises:
        KeyError: no weight of a GPT has this name.
    """
    if name == "lm_head.weight":
        return "head.weight"
    name = name.removeprefix("transformer.")
    if _BUFFER.fullmatch(name):
        return None
    module, _, kind = name.rpartition(".")
    inside = re.fullmatch(r"h\.(\d+)\.(.+)", module)
    return f"blocks.{inside[1]}.{_INSIDE_BACK[inside[2]]}.{kind}" if inside else f"{_OUTSIDE_BACK[module]}.{kind}"


def stored_transposed(name: str) -> bool:
    """Whether OpenAI's and Hugging Face's files hold this weight (the kit's name) as (in, out), not (out, in)."""
    return bool(re.fullmatch(r"blocks\.\d+\.(attention|mlp)\..+\.weight", name))
