"""Computes lower bounds of the memory that a model takes, and rejects models that exceed the memory of a machine.

Activations, copies, other models, and models and attention types without a formula are not included, so no model is rejected that
would run. `gptkit.scaling.memory_estimate` estimates the memory that a run takes.
"""

from __future__ import annotations

from gptkit.attention import AlternatingAttentionConfig, AttentionConfig, BandedAttentionConfig, DenseAttentionConfig
from gptkit.errors import ConfigError
from gptkit.model import GPTConfig, LSTMConfig, ModelConfig
from gptkit.objective import AuxLMConfig, DPOConfig, GRPOConfig, LMConfig, ObjectiveConfig, PPOConfig, RewardModelConfig, SFTConfig
from gptkit.optimizer import AdamWConfig, MuonConfig, OptimizerConfig
from gptkit.tokenizer import BytesTokenizerConfig, GPT2TokenizerConfig, TokenizerConfig


def least_parameters(model: ModelConfig, attention: AttentionConfig, vocabulary: int) -> dict[str, int]:
    """Return lower bounds of a model's parameters by the keys that decide them; empty for models without a formula."""
    width, layers = model.width, model.layers
    if type(model) is GPTConfig:
        projections = 4 if type(attention) in (DenseAttentionConfig, BandedAttentionConfig, AlternatingAttentionConfig) else 0
        return {
            "model.layers": layers * (8 + projections) * width**2,
            "model.context": model.context * width,
            "tokenizer": vocabulary * width,
        }
    if type(model) is LSTMConfig:
        units = model.units
        return {
            "model.units": 4 * units * (width + units) + (layers - 1) * 8 * units**2 + width * units,
            "tokenizer": vocabulary * width,
        }
    return {}


def least_vocabulary(tokenizer: TokenizerConfig) -> int:
    """Return a lower bound of the vocabulary size. A trained tokenizer can have fewer ids than its settings request."""
    return tokenizer.vocabulary_size() or 1 if type(tokenizer) in (BytesTokenizerConfig, GPT2TokenizerConfig) else 1


def training_copies(objective: ObjectiveConfig, optimizer: OptimizerConfig, *, average: bool, has_adapter: bool = False) -> int:
    """Return the values per weight in training: weight, gradient, moments, average; with an adapter, the weight alone.

    For third-party objectives, which may freeze the model, gradient and moments are not counted.
    """
    if has_adapter:
        return 1
    trains = type(objective) in (LMConfig, AuxLMConfig, SFTConfig, RewardModelConfig, DPOConfig, PPOConfig, GRPOConfig)
    moments = 2 if type(optimizer) is AdamWConfig else 1 if type(optimizer) is MuonConfig else 0
    return 1 + (1 + moments if trains else 0) + average


def check_memory(
    memory: float, model: ModelConfig, parameters: dict[str, int], *, bytes_each: int, contents: str, where: str
) -> None:
    """Check that a model's parameters fit into memory.

    Args:
        memory: available bytes.
        model: the model's settings.
        parameters: the result of `least_parameters`.
        bytes_each: bytes per parameter, including its gradient and optimizer state if it is trained.
        contents: a description of the contents of that memory, for the error.
        where: a description of the device or machine, for the error.

    Raises:
        ConfigError: the parameters do not fit; the message names sizes and the keys to lower.
    """
    total = sum(parameters.values())
    if total * bytes_each <= memory:
        return
    largest = max(parameters, key=lambda key: parameters[key])
    names = {"model.layers": ("layers", "width"), "model.units": ("layers", "units"), "model.context": ("context", "width")}
    keys = [f"model.{name}={getattr(model, name)}" for name in names.get(largest, ("width",))]
    raise ConfigError(
        f"{' '.join(keys)}: a model of at least {total:.3g} parameters takes at least {total * bytes_each / 1e9:,.0f} GB "
        f"({contents}), and {where} has {memory / 1e9:,.0f} GB; lower {' or '.join(key.partition('=')[0] for key in keys)}"
    )
