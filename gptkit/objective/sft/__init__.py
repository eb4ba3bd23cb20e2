"""Config of supervised fine-tuning on dialogues."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from gptkit.constraints import CONTEXT, SCORE, at_least, at_most, below, one_of
from gptkit.objective.config import DialogueObjectiveConfig
from gptkit.records import Dialogue

if TYPE_CHECKING:
    from gptkit.objective.base import Objective
    from gptkit.tokenizer.base import Tokenizer


@dataclass
class SFTConfig(DialogueObjectiveConfig):
    """Supervised fine-tuning on demonstrations: next-token prediction of the assistant's responses and their end-of-text.

    Source: "Training language models to follow instructions with human feedback", section 3.5 and appendix C.1. Examples are packed
    into sequences and do not attend to one another. With `reward=`, the best checkpoint is the one whose responses to held-out
    prompts score highest, as in the paper; otherwise it is the one with the lowest validation loss.
    """

    record: ClassVar[type] = Dialogue

    name: str = "sft"
    learn: Annotated[
        str, "tokens in the loss: response (those of the assistant), or all (also those of prompts)", one_of("response", "all")
    ] = "response"
    pretraining: Annotated[
        float, "share of the sequences that are pre-training text (0.1 for the paper's initial model of PPO)", at_least(0), below(1)
    ] = 0.0
    pretraining_data: Annotated[
        dict[str, Any],
        "the settings of the source of pre-training text, with its `name`; auto: the source that init_from was pre-trained on",
    ] = field(default_factory=lambda: {"name": "auto"})
    max_new_tokens: Annotated[
        int, "with reward=: maximum length in tokens of responses to held-out prompts", at_least(1), at_most(CONTEXT)
    ] = 64
    missing_end_of_text: Annotated[
        float | None,
        "with reward=: score of responses that do not end with end-of-text; null: the reward's score",
        at_least(-SCORE),
        at_most(SCORE),
    ] = None

    def pretraining_key(self) -> str:
        return "pretraining_data" if self.pretraining else ""

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.sft.supervised_fine_tuning import SFT

        return SFT(self, tokenizer=tokenizer, context=context, pretraining_source=self.pretraining_source())
