"""Configs of the objectives on labelled examples: fine-tuning with an auxiliary loss, and linear probes."""

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
    """Fine-tuning on labelled examples with an auxiliary language-modelling loss: L3 = L2 + lambda L1.

    Source: "Improving Language Understanding by Generative Pre-Training", sections 3.2, 3.3 and 4.1. Adds three
    tokens to the vocabulary. Each family of tasks has its own input format, and a linear layer on the last hidden state.
    """

    record: ClassVar[type] = Example
    added_tokens: ClassVar[int] = 3

    name: str = "aux_lm"
    task: Annotated[
        str,
        "classification, entailment, similarity, regression, multiple_choice; auto: infer it from the examples",
        one_of("auto", "classification", "entailment", "similarity", "regression", "multiple_choice"),
    ] = "auto"
    lm_weight: Annotated[float, "lambda, the weight of the language-modelling loss; 0: none", at_least(0), at_most(SCORE)] = 0.5
    classifier_dropout: Annotated[float, "probability of dropping a feature before the head", at_least(0), below(1)] = 0.1
    transfer_layers: Annotated[
        int | None,
        "number of blocks to load from init_from, in addition to the embeddings; null: all; -1: not even embeddings",
        at_least(-1),
        at_most(LAYERS),
    ] = None
    positive: Annotated[
        str,
        "the label whose F1 is reported; empty: 1, true, yes or positive if the other label is its opposite, else the mean",
    ] = ""

    def __post_init__(self) -> None:
        if self.positive and self.task in ("regression", "multiple_choice"):
            raise ValueError(f"objective.positive={self.positive}: labels of {self.task} have no names; leave it empty")

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.classify.aux_lm import AuxLM

        return AuxLM(self, tokenizer=tokenizer, context=context, width=width)


@dataclass
class ProbeConfig(AuxLMConfig):
    """A linear probe: a linear head on a frozen model, trained on a few labelled examples.

    Measures what the hidden states already encode. The vocabulary and the weights of the model do not change; end-of-text replaces
    the tokens that aux_lm adds.
    """

    added_tokens: ClassVar[int] = 0

    name: str = "probe"
    lm_weight: Annotated[float, "must be 0, since the model is frozen", at_least(0), at_most(SCORE)] = 0.0
    classifier_dropout: Annotated[float, "probability of dropping a feature before the head", at_least(0), below(1)] = 0.0
    examples: Annotated[
        int, "train on this many examples of each label (in total, if labels have no names), sampled by seed; 0: all", at_least(0)
    ] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lm_weight:
            raise ValueError(f"objective.lm_weight={self.lm_weight}: the model of a probe is frozen; set it to 0")

    def forward_passes(self) -> dict[str, float]:
        return {"read": 1.0}

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.classify.probe import Probe

        return Probe(self, tokenizer=tokenizer, context=context, width=width)
