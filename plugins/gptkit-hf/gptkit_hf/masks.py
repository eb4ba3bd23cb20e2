"""Documents packed into one sequence, kept apart by a mask that transformers passes on to every layer as it is."""

from __future__ import annotations

import sys

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from gptkit.attention.masks import causal_mask, same_document_mask
from gptkit.errors import ConfigError

FULL = ("full_attention", "sliding_attention")


def check_separable(model: PreTrainedModel, config: PreTrainedConfig, length: int) -> None:
    """Raise a ConfigError where a mask of this shape would not reach, or would not be right for, every layer."""
    window = getattr(config, "sliding_window", None)
    windowed = isinstance(window, int) and length > window
    code = sys.modules[type(model).__module__]
    takes_masks = hasattr(code, "create_causal_mask")  # which gives back a ready one as it is
    if hasattr(code, "build_alibi_tensor") and getattr(config, "alibi", True):
        takes_masks = False  # it counts positions along the mask
    others = set(getattr(config, "layer_types", None) or ()) - set(FULL)
    if windowed or others or not takes_masks or config._attn_implementation not in ("sdpa", "eager"):
        why = f"sees {window} keys at a time, and model.context={length} is more" if windowed else "takes no ready-made mask"
        raise ConfigError(
            f"objective.separate_documents=true: the attention of a model of type {config.model_type} {why}; set it to false"
        )


def separating(segments: Tensor, *, additive: torch.dtype | None) -> Tensor:
    """Causal within each document: (B, T) ids -> (B, 1, T, T), True where a key is seen; `additive`: 0 there."""
    positions = torch.arange(segments.shape[1], device=segments.device)
    seen = (causal_mask(positions, positions) & same_document_mask(segments)).unsqueeze(1)
    if additive is None:
        return seen
    return torch.zeros(seen.shape, dtype=additive, device=seen.device).masked_fill(~seen, torch.finfo(additive).min)
