"""Free-form answers: the model generates a text, which is compared with the right answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from gptkit.records import Example
from gptkit.task.base import Columns, Item
from gptkit.task.example_task import ExampleTask
from gptkit.task.extraction import Extractor
from gptkit.task.requests import Answer, Generation, GenerationAnswer
from gptkit.task.text_metrics import bleu_counts, check_bleu, corpus_bleu, exact_match, f1, first_sentences, normalise_answer

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.task.free_form_config import FreeFormConfig

QUERY = "{query}"
SENTENCE_METRICS: Mapping[str, Callable[[str, Sequence[str]], float]] = {
    "f1": f1,
    "exact_match": exact_match,
    "accuracy": lambda answer, references: float(answer in [reference.strip() for reference in references]),
}


class FreeForm(ExampleTask):
    """The prompt with the query of the example. If the answer is extracted, a text without one scores 0."""

    delimiter = " "
    """The text between the prompt and the answer of an example in context."""

    def __init__(self, settings: FreeFormConfig, data: Data) -> None:
        self._before, self._after = settings.prompt.split(QUERY)
        self._metrics = list(dict.fromkeys(settings.metrics))
        self.right_or_wrong = next((name for name in self._metrics if name in ("accuracy", "exact_match")), None)
        self._tokenize = settings.bleu_tokenizer
        self._extractor = None if settings.extract is None else Extractor(settings.extract)
        self._sentences = settings.sentences
        self._request = Generation(
            "",
            settings.max_new_tokens,
            stop=tuple(settings.stop),
            temperature=settings.temperature,
            beams=settings.beams,
            length_penalty=settings.length_penalty if settings.beams > 1 else 0.0,
        )
        if "bleu" in self._metrics:
            check_bleu()
        super().__init__(settings, data)

    def item(self, example: Example) -> Item:
        prompt = self._before + example.text + self._after
        request = Generation(**(vars(self._request) | {"prompt": prompt}))
        return Item((request,), list(example.options) or [str(example.label)], example.where, example.group)

    def solution(self, item: Item) -> str | None:
        (request,) = item.requests
        assert isinstance(request, Generation)
        return f"{request.prompt}{self.delimiter}{item.target[0]}"

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        (answer,) = answers
        assert isinstance(answer, GenerationAnswer)
        text = self._answer(answer.text, item.where)
        if text is None:
            scores = dict.fromkeys((name for name in self._metrics if name in SENTENCE_METRICS), 0.0)
            return scores | (bleu_counts("", item.target, tokenize=self._tokenize) if "bleu" in self._metrics else {})
        scores = {name: SENTENCE_METRICS[name](text, item.target) for name in self._metrics if name in SENTENCE_METRICS}
        if "bleu" in self._metrics:
            scores |= bleu_counts(text, item.target, tokenize=self._tokenize)
        return scores

    def _answer(self, text: str, where: str) -> str | None:
        """Return the answer in a generated text; None if it has none."""
        if self._extractor is not None:
            found = self._extractor.find(text, where=where)
            if found is None:
                return None
            text = found
        return first_sentences(text, self._sentences) if self._sentences else text.strip()

    def final_answer(self, item: Item, answers: Sequence[Answer]) -> str:
        (answer,) = answers
        assert isinstance(answer, GenerationAnswer)
        text = self._answer(answer.text, item.where) or ""
        return normalise_answer(text) if self.right_or_wrong == "exact_match" else text

    def metrics(self, scores: Columns) -> dict[str, float]:
        return {name: corpus_bleu(scores) if name == "bleu" else float(scores[name].mean()) for name in self._metrics}

    def chance(self) -> dict[str, float]:
        return dict.fromkeys(self._metrics, 0.0)
