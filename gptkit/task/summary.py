"""Summaries after a hint such as "TL;DR:", compared with references by ROUGE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gptkit.data.record_checks import labelled_examples
from gptkit.data.splits import evaluation_split
from gptkit.errors import ConfigError
from gptkit.task.base import Item, Task
from gptkit.task.example_task import subsample
from gptkit.task.requests import Answer, Generation, GenerationAnswer
from gptkit.task.text_metrics import first_sentences

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.task import SummaryConfig

VARIANTS = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}


class Summary(Task):
    """An item has the F1 of each variant of ROUGE, 0 to 100, and their mean, as in table 4 of GPT-2's paper."""

    prefix = "always"

    def __init__(self, settings: SummaryConfig, data: Data) -> None:
        """Raises:
        ConfigError: rouge-score is not installed.
        DataError: the articles cannot be read.
        """
        try:
            from rouge_score.rouge_scorer import RougeScorer
        except ImportError:
            raise ConfigError(f"task={settings.name} needs rouge-score: pip install gptkit[evaluation]") from None
        self._scorer = RougeScorer(list(VARIANTS.values()), use_stemmer=True)
        self._sentences = settings.sentences
        records = labelled_examples(data, evaluation_split(data, "validation"), reader=f"task={settings.name}")
        self._items = [
            Item(
                (
                    Generation(
                        example.text + settings.hint,
                        settings.max_new_tokens,
                        temperature=settings.temperature,
                        top_k=settings.top_k,
                    ),
                ),
                str(example.label),
                example.where,
            )
            for example in subsample(list(records), settings.examples)
        ]

    def items(self) -> Sequence[Item]:
        return self._items

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        (answer,) = answers
        assert isinstance(answer, GenerationAnswer)
        result = self._scorer.score(item.target, first_sentences(answer.text, self._sentences))
        scores = {name: 100 * float(result[variant].fmeasure) for name, variant in VARIANTS.items()}
        return scores | {"rouge_mean": sum(scores.values()) / len(scores)}
