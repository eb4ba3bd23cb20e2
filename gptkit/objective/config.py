"""The base classes of objective configs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from gptkit.constraints import one_of
from gptkit.objective.chat_template import TEMPLATES
from gptkit.parts import Part
from gptkit.plugins import registry
from gptkit.records import Document

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.objective.base import Objective
    from gptkit.tokenizer.base import Tokenizer


@dataclass
class ObjectiveConfig(Part):
    """What is minimised: which records are read, what a batch of them is, and its loss.

    Subclass it, give `name` a default, `record` the class of `gptkit.records` that it consumes and `added_tokens` the number of
    tokens of its own, add fields, and write `build`, which returns a `gptkit.objective.base.Objective`. No key is shared by
    all objectives.
    """

    record: ClassVar[type] = Document
    added_tokens: ClassVar[int] = 0
    """Ids beyond the tokenizer's, from its size on, that the objective's sequences use. The model's vocabulary holds them."""

    begins_trained: ClassVar[bool] = False
    """Whether it goes on from what a model has learned: beginning with random weights is then warned of."""
    writes: ClassVar[bool] = True
    """Whether a model that was trained for it still writes text, and may become a policy."""

    trained_models: ClassVar[tuple[str, ...]] = ()
    """What further models of about the policy's size are trained beside it, for `gptkit plan`."""
    frozen_models: ClassVar[tuple[str, ...]] = ()
    """What further models of about its size are kept, and not trained."""

    name: str = ""

    def mixes_in(self) -> str:
        """The key of the objective that holds the source of pre-training text which is read beside the data; empty: none is read.

        Where its `name` is `auto`, the run puts in the source that `init_from` was pre-trained on.
        """
        return ""

    def pretraining_source(self) -> DataConfig | None:
        """The source of pre-training text that `mixes_in` names; None: none is read.

        Raises:
            ConfigError: the key holds no data source.
        """
        key = self.mixes_in()
        source: DataConfig | None = registry().resolve("data", getattr(self, key), path=f"objective.{key}") if key else None
        return source

    def passes(self) -> dict[str, float]:
        """What a step computes, for `gptkit plan`: by stage, how many forward passes of a model like the run's over its sequences.

        Learning from a sequence is three, since the backward pass costs two. A stage called `generate` reads token by token.
        """
        return {"train": 3.0}

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        """Make the objective.

        Args:
            tokenizer: turns the records' text into ids.
            context: longest sequence T that the model reads.
            width: size D of the model's hidden states, for heads that belong to the objective.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


@dataclass
class DialogueObjectiveConfig(ObjectiveConfig):
    """Base of the configs of objectives on dialogues: how turns become text. Not a part itself."""

    template: Annotated[
        str, "plain: one question and its answer behind it; transcript: turns named Human and Assistant", one_of(*TEMPLATES)
    ] = "plain"
