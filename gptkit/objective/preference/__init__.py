"""Configs of the objectives on rankings: reward models and DPO."""

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
    """A reward model trained on rankings: a scalar at the last token of each completion, compared in pairs.

    Source: "Training language models to follow instructions with human feedback", section 3.5, equation 1. One item is a prompt
    with its K completions, each read once. Its loss is the mean over its pairs of completions that are not tied. A bias is
    subtracted from the scores, so that demonstrations score 0 on average.
    """

    record: ClassVar[type] = Ranking
    generates_text: ClassVar[bool] = False

    name: str = "reward"
    margin: Annotated[
        float, "margin by which the better completion must score higher (0 in the paper)", at_least(0), at_most(SCORE)
    ] = 0.0

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.preference.reward_model import RewardModel

        return RewardModel(self, tokenizer=tokenizer, context=context, width=width)


@dataclass
class DPOConfig(DialogueObjectiveConfig):
    """Direct preference optimisation: the policy itself is the reward model.

    Source: "Direct Preference Optimization: Your Language Model is Secretly a Reward Model", equation 7. Uses every
    pair of a ranking that is not tied. The reference is a copy of the initial model.
    """

    record: ClassVar[type] = Ranking
    needs_trained_model: ClassVar[bool] = True
    frozen_models: ClassVar[tuple[str, ...]] = ("reference",)

    name: str = "dpo"
    beta: Annotated[float, "strength of the penalty for deviating from the reference", above(0), at_most(SCORE)] = 0.1

    def forward_passes(self) -> dict[str, float]:
        return {"reference": 1.0, "train": 3.0}

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.preference.dpo import DPO

        return DPO(self, tokenizer=tokenizer, context=context)
