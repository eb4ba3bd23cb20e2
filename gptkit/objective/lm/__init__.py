"""Config of language modelling: next-token prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from gptkit.objective.config import ObjectiveConfig

if TYPE_CHECKING:
    from gptkit.objective.base import Objective
    from gptkit.tokenizer.base import Tokenizer


@dataclass
class LMConfig(ObjectiveConfig):
    """Next-token prediction over packed documents.

    Source: "Improving Language Understanding by Generative Pre-Training", equation 1. Sequences are always full; documents are
    separated by end-of-text ("Language Models are Few-Shot Learners", appendix B).
    """

    name: str = "lm"
    separate_documents: Annotated[bool, "mask attention between documents packed into one sequence (GPT-3 does not)"] = False

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.lm.next_token_prediction import LM

        return LM(self, tokenizer=tokenizer, context=context)
