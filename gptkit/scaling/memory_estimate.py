"""Estimates the memory per device that training takes, by contents, from settings.

Symbols: L layers, D width, H heads, T context, V vocabulary, P parameters, n devices; m bytes of a stored weight (and of the
residual stream), c bytes of a value in matrix products.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gptkit.attention import AttentionConfig
from gptkit.model import ModelConfig
from gptkit.optimizer import MuonConfig, OptimizerConfig
from gptkit.scaling.compute import parameters_by_part

STRATEGIES = ("single", "ddp", "fsdp2", "tp")


@dataclass(frozen=True)
class Precision:
    """Bytes per value."""

    stored: int
    """Bytes of stored weights, gradients, optimizer state and the residual stream."""
    computed: int
    """Bytes in matrix products."""

    @staticmethod
    def of(name: str) -> Precision:
        """Return the bytes for one of Lightning's names: 32-true, bf16-mixed, 16-mixed, bf16-true and others."""
        if name.startswith("64"):
            return Precision(8, 8)
        if name.startswith("32"):
            return Precision(4, 4)
        return Precision(2, 2) if name.endswith("-true") else Precision(4, 2)


@dataclass(frozen=True)
class Placement:
    """The devices of a run, and how they share a model."""

    devices: int = 1
    strategy: str = "single"
    """single, ddp (full copies), fsdp2 (everything that is stored is sharded) or tp (the blocks' matrices are split)."""

    on_processor: bool = False
    """Whether the device is a CPU, on which PyTorch's attention with dropout stores its probabilities."""


@dataclass(frozen=True)
class Others:
    """Further models and copies in memory."""

    trained: int = 0
    """The number of further trained models of the same size."""
    frozen: int = 0
    """The number of further frozen models of the same size."""
    average: bool = False
    """Whether a moving average of the weights is kept."""
    adapter: int | None = None
    """The number of parameters of the adapter of each trained model, whose other weights are frozen; None: there is none."""


NO_OTHERS = Others()


def memory_per_device(
    model: ModelConfig,
    attention: AttentionConfig,
    optimizer: OptimizerConfig,
    vocabulary: int,
    *,
    sequences: int,
    precision: Precision,
    placement: Placement,
    others: Others = NO_OTHERS,
    parts: dict[str, int] | None = None,
) -> dict[str, float]:
    """Return the bytes of one device by part, at the peak: the start of a step's last backward pass.

    - weights, gradients: m P each. With ddp each device holds all of them, with fsdp2 1/n of them, and with tp 1/n of the blocks'
      matrices.
    - optimizer: two moments, 2 m P; Muon keeps one moment of the blocks' matrices.
    - other models: m P each, in full on every device. Trained models also have gradients and moments, which count in those parts.
      They are assumed to be as large as the model. Average: m for each weight that a device holds.
    - copies: under mixed precision, weights in the lower precision, c P, which autocast keeps until the backward pass; with fsdp2
      only those of the head, c V D. ddp's buckets hold a copy of every gradient (m P). fsdp2 gathers the embeddings (m), two
      blocks at a time and one block's gradients (c), and under mixed precision also a copy of those gradients for the reduction (m)
      and the norms (m).
    - activations, logits: see `activation_bytes` and `logit_bytes`; one pass holds those of every trained model.

    - With an adapter, weights are those of base and adapter, and everything that belongs to training is that of the adapter alone.
      Further trained models share the base; a copy of it counts as a frozen model.

    Rounding of allocations and workspaces of kernels are not included: a few percent, and about 1 GB for a CUDA context. `parts` is
    the result of `parameters_by_part`, if it is already known.
    """
    stored, computed, n = precision.stored, precision.computed, placement.devices
    parts = parameters_by_part(model, attention, vocabulary) if parts is None else parts
    total = sum(parts.values())
    matrices = sum(count for part, count in parts.items() if part in ("attention", "mlp", "other"))
    norms = parts.get("norms", 0)
    tables = total - matrices - norms
    mixed, sharded = computed != stored, placement.strategy == "fsdp2" and n > 1
    held = {"fsdp2": total / n, "tp": total - matrices + matrices / n}.get(placement.strategy, float(total))
    moments = (2 * total - matrices) / total if isinstance(optimizer, MuonConfig) else 2.0
    copies = computed * (vocabulary * model.width if sharded else held) if mixed else 0.0
    if others.adapter is not None:
        trainable, moments = float(others.adapter), 1.0 if isinstance(optimizer, MuonConfig) else 2.0
    else:
        trainable = held
    if placement.strategy == "ddp":
        copies += stored * trainable
    if sharded and mixed:
        copies += (3 * computed + stored) * matrices / model.layers + stored * (tables + norms)
    elif sharded:
        copies += stored * (3 * (matrices + norms) / model.layers + tables)
    trained = trainable + others.trained * (total if others.adapter is None else others.adapter)
    other_models = (others.frozen if others.adapter is not None else others.trained + others.frozen) * total
    activations = activation_bytes(model, attention, sequences=sequences, precision=precision, placement=placement)
    further = {
        "other models": stored * other_models,
        "average": stored * trainable if others.average else 0.0,
    }
    return {
        "weights": stored * (held if others.adapter is None else held + trained),
        **{part: count for part, count in further.items() if count},
        "gradients": stored * trained,
        "optimizer": stored * moments * trained,
        "copies": copies,
        "activations": (1 + others.trained) * activations,
        "logits": logit_bytes(model, vocabulary, sequences=sequences, precision=precision),
    }


def activation_bytes(
    model: ModelConfig, attention: AttentionConfig, *, sequences: int, precision: Precision, placement: Placement
) -> float:
    """Return the bytes that the forward pass of a micro-batch stores for the backward pass, without recomputation.

    A model can provide this number by `activation_bytes_per_token`. Other models are treated as a GPT of the same number of layers
    and width, which stores per token and layer, in values of D:

    - the inputs of the two norms, 2 at m bytes (the residual stream), and their means and deviations, 16 bytes;
    - the input of the q, k, v projection, 1, and q, k, v themselves, 3; the attention's output, which is the input of the output
      projection, 1; the input of the MLP, 1; before GELU, 4, and after, 4: together 14 at c bytes;
    - one float32 per head, the attention's log-sum-exp. Fused attention stores no T x T matrix per head.

    With dropout: two masks, one byte per value (on a CPU, c bytes), and one of the embeddings. On a CPU, attention with dropout is
    not fused: its probabilities, their mask and their product are stored in float32, 12 H T bytes per token and layer. For layers
    that see fewer keys than causal attention, a T x T mask is stored once per micro-batch, c bytes per entry. After the last layer:
    the input of the final norm, m, and the hidden state, c. Tensor parallelism divides the MLP's 8 by n.
    """
    m, c, d = precision.stored, precision.computed, model.width
    tokens = sequences * model.context
    bytes_per_token = model.activation_bytes_per_token(stored=m, computed=c, on_processor=placement.on_processor)
    if bytes_per_token is not None:
        return tokens * bytes_per_token
    n = placement.devices if placement.strategy == "tp" else 1
    per_layer = 2 * m * d + 16 + c * d * (6 + 8 / n) + 4 * model.heads
    ends = m * d + 8 + c * d
    if model.dropout:
        mask = c if placement.on_processor else 1
        per_layer += 2 * mask * d
        ends += (m if placement.on_processor else 1) * d
        if placement.on_processor:
            per_layer += 12 * model.heads * model.context
    return tokens * (model.layers * per_layer + ends) + masked_layers(model, attention) * c * model.context**2


def activation_bytes_upper_bound(model: ModelConfig, *, vocabulary: int) -> int:
    """Return an upper bound of the activations of one sequence in bytes, including logits. batch.micro=auto uses it on a CPU.

    Per token and layer, in units of the width in float32: two norms, the attention's input, q, k, v, its result, two residual sums
    and the 4 + 4 hidden units of the MLP are about 18; dropout masks and temporary gradients raise this to 24. Logits and their
    gradient take 2 values per entry of the vocabulary, and a third one is added as margin. The number that a model provides is
    raised by the same third.
    """
    bytes_per_token = model.activation_bytes_per_token(stored=4, computed=4, on_processor=True)
    bound = 4 * 24 * model.width * model.layers if bytes_per_token is None else math.ceil(4 / 3 * bytes_per_token)
    return model.context * (bound + 4 * 3 * vocabulary)


def masked_layers(model: ModelConfig, attention: AttentionConfig) -> int:
    """Return the number of layers whose attention needs a mask, because it sees fewer keys than dense causal attention."""
    causal_keys = (model.context + 1) / 2
    layers = range(model.layers)
    return sum(attention.keys_per_query(context=model.context, layer=i, layers=model.layers) < causal_keys for i in layers)


def logit_bytes(model: ModelConfig, vocabulary: int, *, sequences: int, precision: Precision) -> float:
    """Return the bytes of the logits of a micro-batch and their gradient: 2 c V per token."""
    return 2.0 * precision.computed * vocabulary * sequences * model.context
