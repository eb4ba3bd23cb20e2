"""Configs of the objectives that learn from labelled examples: fine-tuning with an auxiliary loss, and linear probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from gptkit.constraints import LAYERS, SCORE, at_least, at_most, below, one_of
from gptkit.objective.config import ObjectiveConfig
from gptkit.records import Example

if TYPE_CHECKING:
    from gptkit.objective.base import Objective
    from gptkit.tokenizer.base import Tokenizer


@dataclass
class AuxLMConfig(ObjectiveConfig):
    """Fine-tuning on labelled examples with language modelling beside it: L3 = L2 + lambda L1.

    Source: "Improving Language Understanding by Generative Pre-Training", sections 3.2, 3.3 and 4.1. Three tokens are added to the
    vocabulary; each family of tasks has its own layout of them, and one linear layer on the last one's hidden state.
    """

    record: ClassVar[type] = Example
    added_tokens: ClassVar[int] = 3

    name: str = "aux_lm"
    task: Annotated[
        str,
        "classification, entailment, similarity, regression, multiple_choice; auto: what the examples look like",
        one_of("auto", "classification", "entailment", "similarity", "regression", "multiple_choice"),
    ] = "auto"
    lm_weight: Annotated[float, "lambda, the weight of the language model's loss; 0: none", at_least(0), at_most(SCORE)] = 0.5
    classifier_dropout: Annotated[float, "probability of dropping a feature before the head", at_least(0), below(1)] = 0.1
    transfer_layers: Annotated[
        int | None,
        "how many blocks are taken from init_from, embeddings besides; null: all; -1: not even embeddings",
        at_least(-1),
        at_most(LAYERS),
    ] = None
    positive: Annotated[
        str, "the label whose F1 is reported; empty: 1, true, yes or positive beside its opposite, else the mean over all labels"
    ] = ""

    def __post_init__(self) -> None:
        if self.positive and self.task in ("regression", "multiple_choice"):
            raise ValueError(f"objective.positive={self.positive}: labels of {self.task} have no names; leave it empty")

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.classify.aux_lm import AuxLM

        return AuxLM(self, tokenizer=tokenizer, context=context, width=width)


@dataclass
class ProbeConfig(AuxLMConfig):
    """A linear head on a frozen model, trained on a few labelled examples: what its hidden states already know.

    Source: the reading of few-shot learning as training the last layer alone. Nothing is added to the vocabulary and no weight of
    the model changes; end-of-text stands where aux_lm has tokens of its own.
    """

    added_tokens: ClassVar[int] = 0

    name: str = "probe"
    lm_weight: Annotated[float, "must stay 0: a frozen model learns no language", at_least(0), at_most(SCORE)] = 0.0
    classifier_dropout: Annotated[float, "probability of dropping a feature before the head", at_least(0), below(1)] = 0.0
    examples: Annotated[
        int, "train on this many of each label (of all, if labels have no names), drawn by seed; 0: all", at_least(0)
    ] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lm_weight:
            raise ValueError(f"objective.lm_weight={self.lm_weight}: a probe's model is frozen; leave it 0")

    def forward_passes(self) -> dict[str, float]:
        return {"read": 1.0}

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.classify.probe import Probe

        return Probe(self, tokenizer=tokenizer, context=context, width=width)
