"""`attention=xformers`: dense or banded attention, also of packed documents, with the memory-efficient kernels of xformers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from gptkit import hookimpl
from gptkit.attention import AttentionConfig, BandedAttentionConfig
from gptkit.constraints import CONTEXT, at_least, at_most
from gptkit.errors import ConfigError

if TYPE_CHECKING:
    from gptkit.attention.base import Attention


@dataclass
class XFormersAttentionConfig(AttentionConfig):
    """Dense or banded causal attention with the CUDA kernels of xformers; packed documents need no mask.

    Source: "Self-attention Does Not Need O(n^2) Memory", section 2, and "FlashAttention-2", section 3, to which
    xformers dispatches. Results equal those of `dense` (window=0) and `banded` up to rounding, and weights are interchangeable.
    """

    name: str = "xformers"
    window: Annotated[int, "keys that a query sees, itself included; 0: all (dense)", at_least(0), at_most(CONTEXT)] = 0

    def build(self, *, width: int, heads: int, context: int, dropout: float, layer: int, layers: int) -> Attention:
        """Raise ConfigError if this machine has no CUDA device, or the kernels do not support the head size."""
        import torch

        if torch.get_default_device().type == "meta":  # `gptkit plan` counts parameters on any machine
            return BandedAttentionConfig(window=self.window or context).build(
                width=width, heads=heads, context=context, dropout=dropout, layer=layer, layers=layers
            )
        if not torch.cuda.is_available():
            instead = f"attention=banded attention.window={self.window}" if self.window else "attention=dense"
            raise ConfigError(
                f"attention=xformers needs a CUDA device, but this machine has none; use {instead}, which has the same weights"
            )
        if width // heads % 8:
            raise ConfigError(
                f"attention=xformers needs a head size divisible by 8, but model.width={width} / model.heads={heads} is "
                f"{width // heads}; change one of them, or use attention=dense"
            )
        from gptkit_xformers.attention import XFormersAttention

        return XFormersAttention(width=width, heads=heads, dropout=dropout, window=self.window or context)

    def keys_per_query(self, *, context: int, layer: int, layers: int) -> float:
        return BandedAttentionConfig(window=self.window or context).keys_per_query(context=context, layer=layer, layers=layers)


@hookimpl
def gptkit_attention() -> list[type[AttentionConfig]]:
    return [XFormersAttentionConfig]
