"""Partial transfer of pre-trained weights to a model to fine-tune: `objective.transfer_layers`.

Source: "Improving Language Understanding by Generative Pre-Training", section 5, "Impact of number of layers transferred".
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gptkit.model.base import Model

_log = logging.getLogger("gptkit")


def is_transferred_weight(model: Model, name: str, layers: int | None) -> bool:
    """Return whether a weight is loaded from the pre-trained model. Embeddings and the blocks below `layers` are.

    Weights after the blocks (a final norm, which GPT-1 lacks) belong to the last block. A weight with a row per token belongs to
    the embeddings, since an output matrix may be tied to them.

    Args:
        model: the model to fine-tune.
        name: name of the weight.
        layers: number of blocks to transfer; None: all weights; negative: none.
    """
    if layers is None or layers < 0:
        return layers is None
    layer = model.layer_of(name)
    if layer is not None:
        return layer < layers
    state = model.state_dict()
    layers_of_weights = [model.layer_of(other) for other in state]
    first = next((index for index, layer in enumerate(layers_of_weights) if layer is not None), len(layers_of_weights))
    if list(state).index(name) < first or state[name].shape[:1] == (model.vocabulary,):
        return True
    return layers > max((layer for layer in layers_of_weights if layer is not None), default=-1)


def warn_about_missing_layers(model: Model, layers: int | None) -> None:
    """Warn if `layers` exceeds the number of blocks of the model, since runs with different values would be identical."""
    blocks = {layer for name in model.state_dict() if (layer := model.layer_of(name)) is not None}
    if (layers or 0) > len(blocks):
        _log.warning("objective.transfer_layers=%d, but the model has %d blocks", layers, len(blocks))
