"""Models: the base class of their configs with the shared keys, the built-in configs, and the hook that registers them."""

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

    Subclasses set `name` to a default, add fields and implement `build`, which returns a `gptkit.model.base.Model`. All models
    share the keys below, so that the settings of a paper apply to any model.
    """

    name: str = ""
    layers: Annotated[int, "number of blocks", at_least(1), at_most(LAYERS)] = 6
    heads: Annotated[int, "attention heads per block; must divide the width", at_least(1), at_most(WIDTH)] = 6
    width: Annotated[int, "size D of a hidden state", at_least(1), at_most(WIDTH)] = 192
    context: Annotated[int, "maximum sequence length T in tokens", at_least(1), at_most(CONTEXT)] = 256
    dropout: Annotated[float, "probability of dropping an activation in training", at_least(0), below(1)] = 0.0

    adjustable: ClassVar[tuple[str, ...]] = ("dropout",)
    """Keys that a run may set although its weights come from `init_from`, because every value fits the weights."""

    attends: ClassVar[bool] = True
    """Whether the model uses the attention part. If not, `heads` need not divide the width."""

    def __post_init__(self) -> None:
        if self.attends and self.width % self.heads:
            raise ValueError(f"model.width={self.width} is not divisible by model.heads={self.heads}")

    @classmethod
    def from_pretrained(cls, source: str) -> ModelConfig | None:
        """Return the settings of a pretrained model in another format; None if this part does not read the format.

        Called for `checkpoint=hf:<source>` and `init_from=hf:<source>` if `GPT` cannot express the model. `companions` then gives
        its sizes and its tokenizer, and `weights` its weights.

        Args:
            source: a folder in Hugging Face format, or a name on the Hub, optionally with `@<revision>`.

        Raises:
            CheckpointError: the model cannot be used. The message names `hf:<source>`.
        """
        return None

    def companions(self) -> Mapping[str, Part]:
        """Return the parts, by kind, that belong to pretrained weights, such as a tokenizer. The command line overrides them.

        The key "model" may hold the model itself, with the sizes of its weights.
        """
        return {}

    def weights(self) -> dict[str, Tensor] | None:
        """Return the pretrained weights by their names in the built model; None: keep the random weights.

        Called for a new run, and for a model that `from_pretrained` returned, but not for resumed runs and loaded checkpoints.
        """
        return None

    def activation_bytes_per_token(self, *, stored: int, computed: int, on_processor: bool) -> float | None:
        """Return the bytes per token that a forward pass stores for the backward pass, without logits; None: as for a GPT.

        Used by `gptkit plan` and `batch.micro=auto` through `gptkit.scaling.memory_estimate`.

        Args:
            stored: bytes per value of the weights, and of norms.
            computed: bytes per value in matrix products; 2 under mixed precision.
            on_processor: whether PyTorch's CPU kernels are used, which may store more.
        """
        return None

    def build(self, *, attention: AttentionConfig, vocabulary: int) -> Model:
        """Build the model with random weights.

        Args:
            attention: the attention part; the model builds one module of it per layer.
            vocabulary: number V of token ids.
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
    residual_scaling: Annotated[bool, "initialise residual projections with standard deviation 0.02 / sqrt(2 layers)"] = True
    position_deviation: Annotated[float, "standard deviation of the initial position embeddings", at_least(0), at_most(10)] = 0.01
    tied: Annotated[bool, "use the token embedding as the output matrix; false: a separate matrix"] = True

    def build(self, *, attention: AttentionConfig, vocabulary: int) -> Model:
        from gptkit.model.gpt import GPT

        return GPT(self, attention=attention, vocabulary=vocabulary)


@dataclass
class LSTMConfig(ModelConfig):
    """The LSTM with which GPT-1 compares its Transformer.

    Source: "Improving Language Understanding by Generative Pre-Training", section 5 (ablation studies: one layer of 2048 units, so
    `model.layers=1`; other details are not published); "Long Short-Term Memory" with the forget gates of "Learning to Forget".
    Ours: the input of every layer is normalised, and a linear layer and a norm project to the width, so that the output matrix can
    be the token embedding. `attention` and `model.heads` have no effect.
    """

    name: str = "lstm"
    units: Annotated[int, "size U of each layer's state", at_least(1), at_most(WIDTH)] = 2048

    attends: ClassVar[bool] = False

    def activation_bytes_per_token(self, *, stored: int, computed: int, on_processor: bool) -> float:
        from gptkit.model.lstm import activation_bytes_per_token

        return activation_bytes_per_token(self, stored=stored, computed=computed, on_processor=on_processor)

    def build(self, *, attention: AttentionConfig, vocabulary: int) -> Model:
        from gptkit.model.lstm import LSTM

        return LSTM(self, vocabulary=vocabulary)


@hookimpl
def gptkit_model() -> list[type[ModelConfig]]:
    return [GPTConfig, LSTMConfig]
