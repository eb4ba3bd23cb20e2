"""A model that generates text, as the commands `generate` and `chat` load it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from gptkit.generation.precision import decoding_dtype, prepare_device
from gptkit.model.base import Model
from gptkit.model.packed_weights import pack_weights
from gptkit.objective import AuxLMConfig, ObjectiveConfig
from gptkit.terminal import print_text
from gptkit.tokenizer.base import Tokenizer
from gptkit.training.checkpoints.load import build_model, initial_weights, objective_class


@dataclass(frozen=True)
class TextModel:
    """A model with its tokenizer, and the settings of the run that trained it."""

    model: Model
    tokenizer: Tokenizer
    run: Mapping[str, Any]
    device: torch.device

    def prepare(self, precision: str) -> Model:
        """Move the model to its device, in the format in which it decodes, and return it."""
        self.model.to(device=self.device, dtype=decoding_dtype(precision, self.device))
        pack_weights(self.model)
        return self.model


def load_text_model(checkpoint: str) -> TextModel:
    """Load a model. Warns if it was trained to label or score texts, not to generate them.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    device = prepare_device()
    weights = initial_weights(checkpoint)
    _warn_if_classifier(checkpoint, objective_class(weights.run))
    model, tokenizer = build_model(weights, checkpoint)
    return TextModel(model, tokenizer, weights.run, device)


def _warn_if_classifier(checkpoint: str, objective: type[ObjectiveConfig] | None) -> None:
    if objective is None or (objective.generates_text and not issubclass(objective, AuxLMConfig)):
        return
    alternative = (
        "label texts with gptkit predict"
        if issubclass(objective, AuxLMConfig)
        else "score texts with reward=model reward.checkpoint=<this run>"
    )
    print_text(
        f"gptkit: {checkpoint} was trained with objective={objective.name} to judge texts, not to generate them; {alternative}",
        sys.stderr,
    )
