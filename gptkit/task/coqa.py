"""CoQA: questions of a conversation about a story."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gptkit.task.base import Item
from gptkit.task.free_form import QUERY, SENTENCE_METRICS, FreeForm
from gptkit.task.free_form_config import FreeFormConfig
from gptkit.task.requests import Answer, GenerationAnswer

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.task.gpt2_config import CoQAConfig

METRICS = ("f1", "exact_match")


class CoQA(FreeForm):
    """The story and the conversation up to the question; the answer ends at a newline."""

    def __init__(self, settings: CoQAConfig, data: Data) -> None:
        shared = ("name", "examples", "boundary", "prefix", "reference", "max_new_tokens", "beams", "length_penalty")
        values = {key: getattr(settings, key) for key in shared}
        super().__init__(FreeFormConfig(prompt=f"{QUERY}\nA:", metrics=list(METRICS), **values), data)

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        (answer,) = answers
        assert isinstance(answer, GenerationAnswer)
        return {name: mean_best_match(SENTENCE_METRICS[name], answer.text.strip(), item.target) for name in METRICS}


def mean_best_match(metric: Callable[[str, Sequence[str]], float], answer: str, references: Sequence[str]) -> float:
    """Return the mean over annotators of the best match with the answers of the others, so that human answers are comparable."""
    if len(references) == 1:
        return metric(answer, references)
    others = ([*references[:place], *references[place + 1 :]] for place in range(len(references)))
    return sum(metric(answer, each) for each in others) / len(references)
