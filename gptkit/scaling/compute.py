"""Computes the parameters of a model and the operations per token from settings, without allocating weights.

One multiply-add is two operations (FLOPs). Only matrix products are counted: norms, GELU, softmax, biases and the embedding
look-up are a fraction of a percent, and peaks of devices do not refer to them. Symbols: L layers, D width, T context,
V vocabulary, K the average number of keys per query.
"""

from __future__ import annotations

from gptkit.attention import AlternatingAttentionConfig, AttentionConfig, BandedAttentionConfig, DenseAttentionConfig
from gptkit.model import GPTConfig, ModelConfig

PF_DAY = 1e15 * 24 * 60 * 60
"""Operations of one petaflop/s-day, the unit of "Language Models are Few-Shot Learners", table D.1."""

BACKWARD = 2
"""Products of the backward pass (gradients of the input and of the weight) per product of the forward pass."""


def parameters_by_part(model: ModelConfig, attention: AttentionConfig, vocabulary: int) -> dict[str, int]:
    """Return the trained parameters by part of the model. Their sum is the model's size.

    A GPT is counted by formula: embeddings V D, positions T D, attention L (4 D^2 + 4 D), mlp L (8 D^2 + 5 D), norms 2 D each,
    and head V D if the output is not tied to the embeddings. Other models and attention types are built without storage and
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
    """Return the number of trained parameters, including embeddings (once if they are tied to the output)."""
    return sum(parameters_by_part(model, attention, vocabulary).values())


def forward_flops_per_token(model: ModelConfig, attention: AttentionConfig, vocabulary: int) -> float:
    """Return the operations of one forward pass over a full sequence, per token.

    Weights cost two operations each: 2 L (attention 4 D^2 + mlp 8 D^2), and 2 D V for the output. Scores and weighted values cost
    2 D K each per layer. Dense causal attention has K = (T + 1) / 2; other attention configs define K by `keys_per_query`.
    """
    if type(model) is not GPTConfig:
        from gptkit.scaling.meta_device_counts import count_forward_flops

        return count_forward_flops(model, attention, vocabulary)
    width = model.width
    projections = _attention_parameters(model, attention) - 4 * width * model.layers  # biases are additions, not products
    mlp = 8 * width**2 * model.layers
    return 2.0 * (projections + mlp + width * vocabulary) + attention_flops_per_token(model, attention)


def attention_flops_per_token(model: ModelConfig, attention: AttentionConfig) -> float:
    """Return the forward operations per token of the scores and weighted sums of values of all layers: 4 D K per layer."""
    if not model.attends:
        return 0.0
    layers = range(model.layers)
    keys = sum(attention.keys_per_query(context=model.context, layer=i, layers=model.layers) for i in layers)
    return 4.0 * model.width * keys


def flops_per_token(model: ModelConfig, attention: AttentionConfig, vocabulary: int) -> float:
    """Return the operations to train on one token: the forward pass, and twice as much for the backward pass.

    Additional work of an implementation (recomputed activations, masked scores, padded vocabulary) is not counted. Divided by time
    and a device's peak, this is the MFU of "PaLM: Scaling Language Modeling with Pathways", appendix B, except that PaLM counts
    the full T x T square of the scores and this function the causal half.
    """
    return (1 + BACKWARD) * forward_flops_per_token(model, attention, vocabulary)


def pf_days(parameters: int, tokens: float) -> float:
    """Return the petaflop/s-days of training by the rule 6 N D: N parameters, including embeddings, and D tokens.

    Source: "Language Models are Few-Shot Learners", appendix D. With embeddings included, all eight numbers of table D.1 are
    reproduced within 0.4%.
    """
    return 6.0 * parameters * tokens / PF_DAY
