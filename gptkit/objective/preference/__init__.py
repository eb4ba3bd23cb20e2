"""Configs of the objectives that learn from rankings: reward models and DPO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from gptkit.constraints import SCORE, above, at_least, at_most
from gptkit.objective.config import DialogueObjectiveConfig
from gptkit.records import Ranking

if TYPE_CHECKING:
    from gptkit.objective.base import Objective
    from gptkit.tokenizer.base import Tokenizer


@dataclass
class RewardModelConfig(DialogueObjectiveConfig):
    """A reward model from rankings: a scalar on the last token of each completion, compared in pairs.

    Source: "Training language models to follow instructions with human feedback", section 3.5, equation 1. One item is a prompt
    with its K completions, each read once; its loss is the mean over its pairs that are no ties. After training a bias is
    subtracted, so that demonstrations score 0 on average.
    """

    record: ClassVar[type] = Ranking
    generates_text: ClassVar[bool] = False

    name: str = "reward"
    margin: Annotated[float, "by how much the better completion is to score higher (0: the paper)", at_least(0), at_most(SCORE)] = (
        0.0
    )

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.preference.reward_model import RewardModel

        return RewardModel(self, tokenizer=tokenizer, context=context, width=width)


@dataclass
class DPOConfig(DialogueObjectiveConfig):
    """Direct preference optimisation: the policy itself is the reward model.

    Source: "Direct Preference Optimization: Your Language Model is Secretly a Reward Model", equation 7. Every pair of a ranking
    that is no tie is learned from; the reference is the model with which training began.
    """

    record: ClassVar[type] = Ranking
    needs_trained_model: ClassVar[bool] = True
    frozen_models: ClassVar[tuple[str, ...]] = ("reference",)

    name: str = "dpo"
    beta: Annotated[float, "how strongly the policy is held to the reference", above(0), at_most(SCORE)] = 0.1

    def forward_passes(self) -> dict[str, float]:
        return {"reference": 1.0, "train": 3.0}

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.preference.dpo import DPO

        return DPO(self, tokenizer=tokenizer, context=context)
