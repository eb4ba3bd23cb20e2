"""Log-likelihoods and choices equal those of transformers' GPT-2, with the rules of lm-evaluation-harness."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gptkit.data import ChoicesConfig, TextConfig
from gptkit.evaluation.runner import evaluate
from gptkit.interop.huggingface import export_model
from gptkit.task import ChoiceConfig, PerplexityConfig
from gptkit.task.base import Item
from gptkit.task.comparison import Subject
from gptkit.task.requests import Answer, LogLikelihood, LogLikelihoodAnswer
from gptkit.tokenizer.bpe import BPETokenizer

TEXT = "the cat sat on the mat, and the old dog sat there, too. "
TOKENIZER = BPETokenizer.train([TEXT * 20], size=320)
WORDS = TEXT.split()


def harness_log_likelihood(model: Any, tokenizer: Any, context: str, continuation: str) -> tuple[float, bool]:
    """What lm-evaluation-harness computes for one request, without batches."""
    spaces = len(context) - len(context.rstrip())
    if spaces:
        continuation = context[-spaces:] + continuation
        context = context[:-spaces]
    if context:
        whole, before = tokenizer(context + continuation)["input_ids"], tokenizer(context)["input_ids"]
        context_ids, continuation_ids = before, whole[len(before) :]
    else:
        context_ids, continuation_ids = [tokenizer.eos_token_id], tokenizer(continuation)["input_ids"]
    ids = (context_ids + continuation_ids)[-(model.config.n_positions + 1) :]
    with torch.no_grad():
        log_probs = model(torch.tensor([ids[:-1]])).logits[0].log_softmax(-1)[-len(continuation_ids) :]
    targets = torch.tensor(continuation_ids)[-len(log_probs) :]
    chosen = log_probs.gather(-1, targets[:, None]).squeeze(-1)
    return chosen.double().sum().item(), bool((log_probs.argmax(-1) == targets).all())


@pytest.mark.parametrize("normaliser", ["none", "characters", "bytes"])
def test_choices_equal_those_of_the_harness(
    tmp_path: Path, normaliser: str, build: Callable[..., Any], read_by_transformers: Callable[..., Any]
) -> None:
    model = build(TOKENIZER)
    export_model(model, TOKENIZER, tmp_path)
    theirs, tokenizer = read_by_transformers(tmp_path, model, TOKENIZER, TEXT)
    draw = random.Random(0)
    rows, expected = [], []
    for _ in range(25):
        query = " ".join(draw.choices(WORDS, k=draw.randrange(1, 20)))
        options = [" ".join(draw.choices(WORDS, k=draw.randrange(1, 6))) for _ in range(3)]
        scores = [harness_log_likelihood(theirs, tokenizer, query, f" {option}") for option in options]
        length = {"none": lambda text: 1, "characters": len, "bytes": lambda text: len(text.encode())}[normaliser]
        values = [score / length(option) for (score, _), option in zip(scores, options, strict=True)]
        rows.append({"query": query, "choices": options, "gold": values.index(max(values))})
        expected.append(scores)
    path = write_rows(tmp_path / "questions.jsonl", rows)
    config = ChoiceConfig(boundary="joint", prefix="empty", normaliser=normaliser)
    task = config.build(data=ChoicesConfig(path=str(path)))
    answers: dict[str, list[tuple[float, bool]]] = {}
    score = task.score

    def keep(item: Item, given: list[Answer]) -> dict[str, float]:
        for request, answer in zip(item.requests, given, strict=True):
            assert isinstance(request, LogLikelihood)
            assert isinstance(answer, LogLikelihoodAnswer)
            answers.setdefault(request.context, []).append((answer.total, answer.is_greedy))
        return score(item, given)

    task.score = keep  # type: ignore[method-assign, assignment]
    assert evaluate(task, Subject(model, TOKENIZER)).metrics == {"accuracy": 1.0}
    for row, scores in zip(rows, expected, strict=True):
        for (ours, greedy), (reference, reference_greedy) in zip(answers[str(row["query"])], scores, strict=True):
            assert ours == pytest.approx(reference, abs=1e-4, rel=1e-6)
            assert greedy == reference_greedy


@pytest.mark.parametrize("stride", [0, 5])
def test_perplexity_equals_that_of_a_slow_loop_over_transformers(
    tmp_path: Path, stride: int, build: Callable[..., Any], read_by_transformers: Callable[..., Any]
) -> None:
    model = build(TOKENIZER)
    export_model(model, TOKENIZER, tmp_path)
    theirs, tokenizer = read_by_transformers(tmp_path, model, TOKENIZER, TEXT)
    (tmp_path / "a.txt").write_text(" the old cat , and the dog . \n" * 9)
    config = PerplexityConfig(detokenizer="wikitext", stride=stride)
    metrics = evaluate(config.build(data=TextConfig(path=str(tmp_path / "a.txt"))), Subject(model, TOKENIZER)).metrics
    context = theirs.config.n_positions
    ids = [tokenizer.eos_token_id, *tokenizer("the old cat, and the dog.\n" * 9)["input_ids"]]
    assert len(ids) > 2 * context
    nats, end = 0.0, 1
    while end < len(ids):
        begin, end = end, min(len(ids), end + (stride or context) if end > 1 else context + 1)
        for place in range(begin, end):
            with torch.no_grad():
                logits = theirs(torch.tensor([ids[max(0, end - 1 - context) : place]])).logits[0, -1]
            nats -= logits.double().log_softmax(-1)[ids[place]].item()
    assert metrics["token_perplexity"] == pytest.approx(math.exp(nats / (len(ids) - 1)), rel=1e-5)
    assert metrics["word_perplexity"] == pytest.approx(math.exp(nats / (9 * 8 + 9)), rel=1e-4)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
