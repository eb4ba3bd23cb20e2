"""How many parameters a model has and how many operations a token costs, from settings alone: nothing is allocated.

One multiply-add is two operations (FLOPs). Only matrix products are counted: norms, GELU, softmax, biases and the embedding
look-up are a fraction of a percent, and no device's peak is quoted for them. Symbols: L layers, D width, T context,
V vocabulary, K the keys that a query sees on average.
"""

from __future__ import annotations

from gptkit.attention import AlternatingAttentionConfig, AttentionConfig, BandedAttentionConfig, DenseAttentionConfig
from gptkit.model import GPTConfig, ModelConfig

PF_DAY = 1e15 * 24 * 60 * 60
"""Operations of one petaflop/s-day, the unit of "Language Models are Few-Shot Learners", table D.1."""

BACKWARD = 2
"""The backward pass makes two products (gradients of the input and of the weight) for each one of the forward pass."""


def parameters_by_part(model: ModelConfig, attention: AttentionConfig, vocabulary: int) -> dict[str, int]:
    """Trained parameters by part of the model; they sum to the model's size.

    A GPT is counted by formula: embeddings V D, positions T D, attention L (4 D^2 + 4 D), mlp L (8 D^2 + 5 D), norms 2 D each,
    and head V D where the output is not tied to the embeddings. Any other model or attention is built without storage and
    counted.
    """
    if type(model) is not GPTConfig:
        from gptkit.scaling.meta_device_counts import count_parameters

        return count_parameters(model, attention, vocabulary)
    layers, width = model.layers, model.width
    norms = 2 * layers + (1 if model.norm == "pre" else 0)
    parts = {
        "embeddings": vocabulary * width,
        "positions": model.context * width,
        "attention": _attention_parameters(model, attention),
        "mlp": layers * (8 * width**2 + 5 * width),
        "norms": norms * 2 * width,
    }
    return parts if model.tied else parts | {"head": vocabulary * width}


def _attention_parameters(model: ModelConfig, attention: AttentionConfig) -> int:
    if type(attention) in (DenseAttentionConfig, BandedAttentionConfig, AlternatingAttentionConfig):
        return model.layers * (4 * model.width**2 + 4 * model.width)
    from gptkit.scaling.meta_device_counts import count_attention

    return count_attention(model, attention)


def parameters(model: ModelConfig, attention: AttentionConfig, vocabulary: int) -> int:
    """Trained parameters, embeddings included (once where they are tied to the output)."""
    return sum(parameters_by_part(model, attention, vocabulary).values())


def forward_flops_per_token(model: ModelConfig, attention: AttentionConfig, vocabulary: int) -> float:
    """Operations of one forward pass over a full sequence, per token.

    Weights cost two operations each: 2 L (attention 4 D^2 + mlp 8 D^2), and 2 D V for the output. Scores and weighted values cost
    2 D K each per layer; dense causal attention has K = (T + 1) / 2, and the attention part tells its own.
    """
    if type(model) is not GPTConfig:
        from gptkit.scaling.meta_device_counts import count_forward_flops

        return count_forward_flops(model, attention, vocabulary)
    width = model.width
    projections = _attention_parameters(model, attention) - 4 * width * model.layers  # biases are additions, not products
    mlp = 8 * width**2 * model.layers
    return 2.0 * (projections + mlp + width * vocabulary) + attention_flops_per_token(model, attention)


def attention_flops_per_token(model: ModelConfig, attention: AttentionConfig) -> float:
    """Operations of the scores and of the weighted sum of values of all layers, forward, per token: 4 D K per layer."""
    if not model.attends:
        return 0.0
    layers = range(model.layers)
    keys = sum(attention.keys_per_query(context=model.context, layer=i, layers=model.layers) for i in layers)
    return 4.0 * model.width * keys


def flops_per_token(model: ModelConfig, attention: AttentionConfig, vocabulary: int) -> float:
    """Operations of training on one token: the forward pass, and twice as much for the backward pass.

    Work that an implementation adds (recomputed activations, masked scores, padded vocabulary) is not counted, so dividing by
    time and a device's peak gives the utilisation of "PaLM: Scaling Language Modeling with Pathways", appendix B (MFU), but
    with the causal half of the scores: PaLM counts the full T x T square.
    """
    return (1 + BACKWARD) * forward_flops_per_token(model, attention, vocabulary)


def pf_days(parameters: int, tokens: float) -> float:
    """Petaflop/s-days of training by the rule 6 N D: N all parameters, embeddings included, D tokens.

    Source: "Language Models are Few-Shot Learners", appendix D. That N includes the embeddings is what reproduces the figures
    of table D.1, all eight within 0.4%.
    """
    return 6.0 * parameters * tokens / PF_DAY
