"""The least memory that a model takes, in closed form, and the refusal of one that no machine like this can hold.

These are lower bounds: what is left out (activations, copies, other models, attention or models that the kit has no formula for)
only adds to them, so that nothing is refused that would run. `gptkit.scaling.memory_estimate` estimates what is really taken.
"""

from __future__ import annotations

from gptkit.attention import AlternatingAttentionConfig, AttentionConfig, BandedAttentionConfig, DenseAttentionConfig
from gptkit.errors import ConfigError
from gptkit.model import GPTConfig, LSTMConfig, ModelConfig
from gptkit.objective import AuxLMConfig, DPOConfig, GRPOConfig, LMConfig, ObjectiveConfig, PPOConfig, RewardModelConfig, SFTConfig
from gptkit.optimizer import AdamWConfig, MuonConfig, OptimizerConfig
from gptkit.tokenizer import BytesTokenizerConfig, GPT2TokenizerConfig, TokenizerConfig


def least_parameters(model: ModelConfig, attention: AttentionConfig, vocabulary: int) -> dict[str, int]:
    """Parameters that a model has at least, by the keys that decide them; nothing for models without a formula."""
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
    """Ids that there are at least before a text was read: one that is learnt may have fewer than were asked for."""
    return tokenizer.vocabulary_size() or 1 if type(tokenizer) in (BytesTokenizerConfig, GPT2TokenizerConfig) else 1


def training_copies(objective: ObjectiveConfig, optimizer: OptimizerConfig, *, average: bool) -> int:
    """Values kept for each weight in training: itself, gradient, moments, average. Another's objective may freeze the model."""
    trains = type(objective) in (LMConfig, AuxLMConfig, SFTConfig, RewardModelConfig, DPOConfig, PPOConfig, GRPOConfig)
    moments = 2 if type(optimizer) is AdamWConfig else 1 if type(optimizer) is MuonConfig else 0
    return 1 + (1 + moments if trains else 0) + average


def refuse_beyond(
    memory: float, model: ModelConfig, parameters: dict[str, int], *, bytes_each: int, contents: str, where: str
) -> None:
    """Refuse a model whose parameters take more than there is.

    Args:
        memory: bytes.
        model: its settings.
        parameters: of `least_parameters`.
        bytes_each: memory that one parameter takes, including its gradient and optimizer state where it is trained.
        contents: what that memory holds, for the error.
        where: whose memory it is, for the error.

    Raises:
        ConfigError: it does not fit; names sizes, and the keys to lower.
    """
    total = sum(parameters.values())
    if total * bytes_each <= memory:
        return
    largest = max(parameters, key=lambda key: parameters[key])
    names = {"model.layers": ("layers", "width"), "model.units": ("layers", "units"), "model.context": ("context", "width")}
    keys = [f"model.{name}={getattr(model, name)}" for name in names.get(largest, ("width",))]
    raise ConfigError(
        f"{' '.join(keys)}: a model of {total:.3g} parameters or more takes at least {total * bytes_each / 1e9:,.0f} GB "
        f"({contents}), and {where} has {memory / 1e9:,.0f} GB; lower {' or '.join(key.partition('=')[0] for key in keys)}"
    )
