"""Free-form answers: the model generates a text, which is compared with the right answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from gptkit.records import Example
from gptkit.task.base import Columns, Item
from gptkit.task.example_task import ExampleTask
from gptkit.task.requests import Answer, Generation, GenerationAnswer
from gptkit.task.text_metrics import bleu_counts, check_bleu, corpus_bleu, exact_match, f1

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.task.free_form_config import FreeFormConfig

QUERY = "{query}"
SENTENCE_METRICS: Mapping[str, Callable[[str, Sequence[str]], float]] = {"f1": f1, "exact_match": exact_match}


class FreeForm(ExampleTask):
    """The prompt with the query of the example; the answer ends at a newline."""

    def __init__(self, settings: FreeFormConfig, data: Data) -> None:
        self._before, self._after = settings.prompt.split(QUERY)
        self._metrics = list(dict.fromkeys(settings.metrics))
        self._tokenize = settings.bleu_tokenizer
        self._request = Generation(
            "",
            settings.max_new_tokens,
            stop=("\n",),
            beams=settings.beams,
            length_penalty=settings.length_penalty if settings.beams > 1 else 0.0,
        )
        if "bleu" in self._metrics:
            check_bleu()
        super().__init__(settings, data)

    def item(self, example: Example) -> Item:
        prompt = self._before + example.text + self._after
        request = Generation(**(vars(self._request) | {"prompt": prompt}))
        return Item((request,), list(example.options) or [str(example.label)], example.where)

    def solution(self, item: Item) -> str | None:
        (request,) = item.requests
        assert isinstance(request, Generation)
        return f"{request.prompt} {item.target[0]}"

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        (answer,) = answers
        assert isinstance(answer, GenerationAnswer)
        text = answer.text.strip()
        scores = {name: SENTENCE_METRICS[name](text, item.target) for name in self._metrics if name in SENTENCE_METRICS}
        if "bleu" in self._metrics:
            scores |= bleu_counts(text, item.target, tokenize=self._tokenize)
        return scores

    def metrics(self, scores: Columns) -> dict[str, float]:
        return {name: corpus_bleu(scores) if name == "bleu" else float(scores[name].mean()) for name in self._metrics}

    def chance(self) -> dict[str, float]:
        return dict.fromkeys(self._metrics, 0.0)
