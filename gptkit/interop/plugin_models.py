"""Finds the plugin that loads a pretrained model which gptkit's own parts cannot express."""

from __future__ import annotations

from gptkit.errors import CheckpointError
from gptkit.model import ModelConfig
from gptkit.plugins import registry

HINT = "pip install gptkit-hf loads any causal language model of transformers"


class UnsupportedModelError(CheckpointError):
    """A model or its tokenizer is valid, but gptkit's own parts cannot express it. A plugin may load it."""


def find_pretrained(source: str, error: UnsupportedModelError) -> ModelConfig:
    """Return the settings of a pretrained model from the first model part that reads it (`ModelConfig.from_pretrained`).

    Args:
        source: a folder in Hugging Face format, or a name on the Hub.
        error: the reason why gptkit's own parts cannot express the model.

    Raises:
        CheckpointError: no installed part reads the model. The message gives the reason, and names a package that may.
    """
    for entry in registry().parts["model"].values():
        config: ModelConfig | None = entry.part.from_pretrained(source)
        if config is not None:
            return config
    raise CheckpointError(f"{error}; {HINT}.{registry().failed()}".removesuffix(".")) from None
