"""Masks that separate packed documents. transformers passes a 4-D mask to every layer unchanged."""

from __future__ import annotations

import sys

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from gptkit.attention.masks import causal_mask, same_document_mask
from gptkit.errors import ConfigError

FULL = ("full_attention", "sliding_attention")


def check_separable(model: PreTrainedModel, config: PreTrainedConfig, length: int) -> None:
    """Raise a ConfigError if a custom mask would not reach every layer, or would be wrong for one."""
    window = getattr(config, "sliding_window", None)
    is_windowed = isinstance(window, int) and length > window
    code = sys.modules[type(model).__module__]
    takes_masks = hasattr(code, "create_causal_mask")  # returns a 4-D mask unchanged
    if hasattr(code, "build_alibi_tensor") and getattr(config, "alibi", True):
        takes_masks = False  # it derives positions from the mask
    others = set(getattr(config, "layer_types", None) or ()) - set(FULL)
    if is_windowed or others or not takes_masks or config._attn_implementation not in ("sdpa", "eager"):
        why = (
            f"has a window of {window} keys, fewer than model.context={length}" if is_windowed else "does not accept a custom mask"
        )
        raise ConfigError(
            f"objective.separate_documents=true: the attention of a model of type {config.model_type} {why}; set it to false"
        )


def document_mask(segments: Tensor, *, additive: torch.dtype | None) -> Tensor:
    """Return a mask that is causal within each document: (B, T) ids -> (B, 1, T, T).

    Args:
        segments: ids of the documents.
        additive: dtype of a mask that is added to the scores; None: a bool mask, True for visible keys.
    """
    positions = torch.arange(segments.shape[1], device=segments.device)
    visible = (causal_mask(positions, positions) & same_document_mask(segments)).unsqueeze(1)
    if additive is None:
        return visible
    return torch.zeros(visible.shape, dtype=additive, device=visible.device).masked_fill(~visible, torch.finfo(additive).min)
