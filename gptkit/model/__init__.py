"""Models: the settings every model understands, the built-in `gpt` and `lstm`, and the hook that offers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from gptkit.constraints import CONTEXT, LAYERS, WIDTH, at_least, at_most, below, one_of
from gptkit.hookspecs import hookimpl
from gptkit.parts import Part

if TYPE_CHECKING:
    from torch import Tensor

    from gptkit.attention import AttentionConfig
    from gptkit.model.base import Model


@dataclass
class ModelConfig(Part):
    """A language model: token ids (B, T) to hidden states (B, T, D) to logits (B, T, V).

    Subclass it, give `name` a default, add fields, and write `build`, which returns a `gptkit.model.base.Model`.
    The keys below are understood by every model, so that any paper can run with any model.
    """

    name: str = ""
    layers: Annotated[int, "number of blocks", at_least(1), at_most(LAYERS)] = 6
    heads: Annotated[int, "attention heads per block; must divide the width", at_least(1), at_most(WIDTH)] = 6
    width: Annotated[int, "size D of a hidden state", at_least(1), at_most(WIDTH)] = 192
    context: Annotated[int, "longest sequence T, in tokens", at_least(1), at_most(CONTEXT)] = 256
    dropout: Annotated[float, "probability of dropping an activation while training", at_least(0), below(1)] = 0.0

    attends: ClassVar[bool] = True
    """Whether the model builds modules of the attention part it is given; if not, `heads` need not divide the width."""

    def __post_init__(self) -> None:
        if self.attends and self.width % self.heads:
            raise ValueError(f"model.width={self.width} is not divisible by model.heads={self.heads}")

    def companions(self) -> Mapping[str, Part]:
        """Parts that weights of this model's own came with, by kind (a tokenizer, say); taken unless the command line names others.

        Under "model" a model may bring itself, with the sizes that its weights have in place of those that were composed.
        """
        return {}

    def weights(self) -> dict[str, Tensor] | None:
        """Weights of the model's own that a new run starts from, by their names in what `build` gives; None: those of `build`.

        Continued runs and loaded checkpoints never ask.
        """
        return None

    def activation_bytes_per_token(self, *, stored: int, computed: int, on_processor: bool) -> float | None:
        """Bytes that a forward pass keeps for the backward pass, per token, logits apart; None: those of a GPT of this shape.

        What `gptkit plan` and `batch.micro=auto` reckon with.

        Args:
            stored: bytes of a value of the weights, and of norms.
            computed: of a value in matrix products; under mixed precision 2.
            on_processor: whether PyTorch's kernels for processors are used, which may keep more.
        """
        return None

    def build(self, *, attention: AttentionConfig, vocabulary: int) -> Model:
        """Make the model with random weights.

        Args:
            attention: the attention part; the model builds one module of it per layer.
            vocabulary: number V of token ids that exist.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


@dataclass
class GPTConfig(ModelConfig):
    """The decoder-only Transformer of GPT-1, GPT-2 and GPT-3.

    Source: "Language Models are Unsupervised Multitask Learners", section 2.3 (pre-norm, final norm, scaled initialisation of
    residual projections); "Improving Language Understanding by Generative Pre-Training", section 4.1 (post-norm, GELU in its
    tanh form, learned positions, output matrix tied to the input embedding).
    """

    name: str = "gpt"
    norm: Annotated[str, "pre (GPT-2, GPT-3; with a final norm) or post (GPT-1; without one)", one_of("pre", "post")] = "pre"
    residual_scaling: Annotated[bool, "initialise residual projections with deviation 0.02 / sqrt(2 layers)"] = True
    position_deviation: Annotated[float, "standard deviation of the initial position embeddings", at_least(0), at_most(10)] = 0.01
    tied: Annotated[bool, "the output matrix is the token embedding; false: a matrix of its own"] = True

    def build(self, *, attention: AttentionConfig, vocabulary: int) -> Model:
        from gptkit.model.gpt import GPT

        return GPT(self, attention=attention, vocabulary=vocabulary)


@dataclass
class LSTMConfig(ModelConfig):
    """The recurrent network that GPT-1 compares its Transformer with.

    Source: "Improving Language Understanding by Generative Pre-Training", section 5 (ablation studies: one layer of 2048 units, so
    `model.layers=1`; nothing else about it is published); "Long Short-Term Memory" with the forget gates of "Learning to Forget".
    Ours: every layer reads its input normalised, and a linear layer and a norm lead back to the width, so that the output matrix
    can be the token embedding. `attention` and `model.heads` change nothing.
    """

    name: str = "lstm"
    units: Annotated[int, "size U of each layer's state", at_least(1), at_most(WIDTH)] = 2048

    attends: ClassVar[bool] = False

    def activation_bytes_per_token(self, *, stored: int, computed: int, on_processor: bool) -> float:
        """Of each layer the four gates, the cell before and after, its tanh, and the output: 8 U.

        On a processor, oneDNN's workspace takes the place of gates and cells: of 15.5 U numbers in float32 and of 22 U in bfloat16,
        where the processor has that, some of them float32 all the same; the output is copied once more at the end. The first norm
        and the last keep D twice, the others U, and under mixed precision, but on a processor, what they read in the stored format
        as well. Dropout keeps a mask of the embeddings and one of each layer's output.
        """
        import torch

        mixed = stored != computed
        fused = on_processor and (computed == 4 or torch.ops.mkldnn._is_mkldnn_bf16_supported())
        workspace = 15.5 if computed == 4 else 22.0
        units = (workspace + 1) * self.layers + 1 if fused else 8.0 * self.layers
        copied = stored if mixed and not on_processor else 0
        norms = 2 * self.width * (stored + computed) + (self.layers - 1) * self.units * (computed + copied)
        masks = (self.width + self.layers * self.units) * (computed if on_processor else 1) if self.dropout else 0
        return units * self.units * computed + norms + masks

    def build(self, *, attention: AttentionConfig, vocabulary: int) -> Model:
        from gptkit.model.lstm import LSTM

        return LSTM(self, vocabulary=vocabulary)


@hookimpl
def gptkit_model() -> list[type[ModelConfig]]:
    return [GPTConfig, LSTMConfig]
