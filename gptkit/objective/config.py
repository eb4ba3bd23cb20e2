"""The base classes of objective configs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gptkit.parts import Part
from gptkit.plugins import registry
from gptkit.records import Document

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.objective.base import Objective
    from gptkit.tokenizer.base import Tokenizer


@dataclass
class ObjectiveConfig(Part):
    """The training objective: the records it reads, the batches it builds from them, and their loss.

    Subclasses set `name` to a default, `record` to the class of `gptkit.records` that the objective reads and `added_tokens` to the
    number of tokens that it adds; add fields; and implement `build`, which returns a `gptkit.objective.base.Objective`. Objectives
    share no keys.
    """

    record: ClassVar[type] = Document
    added_tokens: ClassVar[int] = 0
    """The number of token ids that the objective adds after those of the tokenizer. The vocabulary of the model includes them."""

    needs_trained_model: ClassVar[bool] = False
    """Whether the objective needs a trained model. If training starts from random weights, a warning is logged."""
    uses_chat_template: ClassVar[bool] = False
    """Whether the objective reads dialogues by the run's chat template."""
    generates_text: ClassVar[bool] = True
    """Whether a model trained with the objective generates text, and can therefore be a policy."""

    trained_models: ClassVar[tuple[str, ...]] = ()
    """Other models of about the same size that are trained, for `gptkit plan`."""
    frozen_models: ClassVar[tuple[str, ...]] = ()
    """Other models of about the same size that are in memory but not trained, for `gptkit plan`."""

    name: str = ""

    def pretraining_key(self) -> str:
        """Return the objective's key that holds a source of pre-training text to mix in; empty if there is none.

        If the `name` of that source is `auto`, it is replaced by the source that `init_from` was pre-trained on.
        """
        return ""

    def pretraining_source(self) -> DataConfig | None:
        """Return the source of pre-training text at `pretraining_key()`, or None if there is none.

        Raises:
            ConfigError: the key holds no data source.
        """
        key = self.pretraining_key()
        source: DataConfig | None = registry().resolve("data", getattr(self, key), path=f"objective.{key}") if key else None
        return source

    def forward_passes(self) -> dict[str, float]:
        """Return the cost of a step by stage, for `gptkit plan`, in forward passes of the model over the sequences of the step.

        Training on a sequence costs three forward passes, since the backward pass costs two. The stage `generate` decodes token by
        token.
        """
        return {"train": 3.0}

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        """Build the objective.

        Args:
            tokenizer: encodes the text of records.
            context: maximum sequence length T of the model.
            width: size D of the model's hidden states, for heads of the objective.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


@dataclass
class DialogueObjectiveConfig(ObjectiveConfig):
    """Base class of the configs of objectives on dialogues, which use the chat template. Not a part itself."""

    uses_chat_template: ClassVar[bool] = True
