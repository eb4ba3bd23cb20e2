"""Metrics of generated answers: exact match and F1 as in SQuAD, and BLEU by sacrebleu; and the first sentences of a text.

Source of exact match and F1: "SQuAD: 100,000+ Questions for Machine Comprehension of Text", section 6.1.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptkit.errors import ConfigError

ARTICLES = re.compile(r"\b(a|an|the)\b")
SENTENCE_BREAK = re.compile(r"(?<=[.!?])[\"')\]]*\s+")
PUNCTUATION = str.maketrans("", "", string.punctuation)
ORDERS = 4
"""BLEU counts sequences of up to four words."""


def normalise_answer(text: str) -> str:
    """Return the text in lower case without punctuation and articles, with single spaces."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact_match(answer: str, references: Sequence[str]) -> float:
    """Return 1 if the normalised answer equals a normalised reference, else 0."""
    return float(any(normalise_answer(answer) == normalise_answer(reference) for reference in references))


def f1(answer: str, references: Sequence[str]) -> float:
    """Return the highest F1 of the words of the normalised answer with those of a reference.

    If one of the two has no words, it is 1 if both have none, else 0.
    """
    return max(_f1(normalise_answer(answer).split(), normalise_answer(reference).split()) for reference in references)


def _f1(answer: list[str], reference: list[str]) -> float:
    if not answer or not reference:
        return float(answer == reference)
    common = (Counter(answer) & Counter(reference)).total()
    if not common:
        return 0.0
    precision, recall = common / len(answer), common / len(reference)
    return 2 * precision * recall / (precision + recall)


def check_bleu() -> None:
    """Raises: ConfigError: sacrebleu is not installed."""
    try:
        import sacrebleu  # noqa: F401
    except ImportError:
        raise ConfigError("BLEU needs sacrebleu: pip install gptkit[evaluation]") from None


def bleu_counts(answer: str, references: Sequence[str], *, tokenize: str) -> dict[str, float]:
    """Return the counts of a sentence, whose sums over all sentences determine the BLEU of a corpus."""
    from sacrebleu.metrics.bleu import BLEU

    score = BLEU(tokenize=tokenize, effective_order=True).sentence_score(answer, list(references))
    counts = {f"bleu_correct_{order}": float(count) for order, count in enumerate(score.counts, 1)}
    counts |= {f"bleu_total_{order}": float(count) for order, count in enumerate(score.totals, 1)}
    return counts | {"bleu_length": float(score.sys_len), "bleu_reference_length": float(score.ref_len)}


def corpus_bleu(columns: Mapping[str, NDArray[np.float64]]) -> float:
    """Return the BLEU of a corpus, 0 to 100, from the counts of its sentences, with sacrebleu's default smoothing."""
    from sacrebleu.metrics.bleu import BLEU

    def total(name: str) -> Any:
        count = float(columns[name].sum())  # not a whole number for means over several samples
        return int(count) if count.is_integer() else count

    return float(
        BLEU.compute_bleu(
            correct=[total(f"bleu_correct_{order}") for order in range(1, ORDERS + 1)],
            total=[total(f"bleu_total_{order}") for order in range(1, ORDERS + 1)],
            sys_len=total("bleu_length"),
            ref_len=total("bleu_reference_length"),
            smooth_method="exp",
        ).score
    )


def first_sentences(text: str, count: int) -> str:
    """Return the first sentences of a text. A sentence ends at a full stop, exclamation or question mark before white space."""
    text = text.strip()
    breaks = list(SENTENCE_BREAK.finditer(text))
    return text[: breaks[count - 1].end()].rstrip() if len(breaks) >= count else text
