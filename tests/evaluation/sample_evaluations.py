"""The folders of evaluations as they lie on the disk, without a model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HOSTILE = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(1)> {{ 7 * 7 }} \"'&amp; \u2028\u2029 \\ \x00\ud800 end"


def write_evaluation(
    folder: Path, items: Sequence[Mapping[str, Any]], *, metrics: Mapping[str, Any] | None = None, **results: Any
) -> Path:
    """Write results.json and items.jsonl of an evaluation that has ended."""
    folder.mkdir(parents=True)
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    accuracy = {"value": 0.5, "low": 0.35, "high": 0.65, "minimum_detectable_difference": 0.2}
    protocol = {
        "task": {"name": "choice", "normaliser": "tokens", "delimiter": " "},
        "boundary": "separate",
        "prefix": "always",
        "seed": 0,
        "precision": "float32",
        "device": "cpu",
        "context": 64,
    }
    content = {
        "task": "choice",
        "checkpoint": "runs/a",
        "parameters": 12_345_678,
        "metrics": {"accuracy": accuracy} if metrics is None else metrics,
        "chance": {"accuracy": 0.5},
        "items": len(items),
        "requests": 2 * len(items),
        "truncated_requests": 0,
        "fewshot": {"k": 0, "mean": 0.0, "items_with_fewer": 0},
        "protocol": protocol,
    }
    (folder / "results.json").write_text(json.dumps(content | results))
    return folder


def choice_item(
    position: int, question: str, options: Sequence[str], log_probs: Sequence[float], *, target: int = 0, examples: str = ""
) -> dict[str, Any]:
    """Return the line of a question whose options have one log-probability per token each. A token is a word."""
    answers = []
    for option, value in zip(options, log_probs, strict=True):
        tokens = [f" {word}" for word in option.split(" ")]
        values = [value] * len(tokens)
        answers.append({"log_prob": sum(values), "log_probs": values, "is_greedy": False, "truncated": 0, "tokens": tokens})
    chosen = max(range(len(options)), key=lambda index: log_probs[index])
    return {
        "item": f"{position}-{position:016x}",
        "requests": [{"type": "loglikelihood", "context": examples + question, "continuation": f" {option}"} for option in options],
        "target": target,
        **({"examples": len(examples)} if examples else {}),
        "answers": answers,
        "scores": {"accuracy": float(chosen == target)},
    }


def choice_items(count: int) -> list[dict[str, Any]]:
    """Return questions of which every second one is answered correctly. Later ones have lower log-probabilities."""
    return [
        choice_item(
            number,
            f"Question {number}: what comes after {number}?",
            [f"the number {number + 1}", f"the word {number}"],
            [-1.0 - number / count, -3.0 if number % 2 else -0.5],
        )
        for number in range(count)
    ]


def overlap(status: str, matched: int) -> dict[str, Any]:
    """Return the overlap of an item with the training text."""
    document = {"source": "data", "number": 88, "tokens": [3000, 4000]}
    longest = {"begin": 2, "words": 8, "text": "gratitude to the bountiful giver of all good", "document": document}
    return {
        "status": status,
        "share": matched / 13,
        "n": 8,
        "words": 20,
        "ngrams": 13,
        "matched": matched,
        "documents": [{"document": document, "line": 4, "ngrams": matched}] if matched else [],
        "document_count": int(matched > 0),
        "longest": longest if matched else None,
    }


def generation_item(position: int, prompt: str, answer: str, target: str) -> dict[str, Any]:
    """Return the line of an item whose answer is generated."""
    return {
        "item": f"{position}-{position:016x}",
        "requests": [{"type": "generate", "prompt": prompt, "max_new_tokens": 8, "stop": ["\n"], "temperature": 0.0}],
        "target": target,
        "answers": [{"text": answer, "truncated": 3}],
        "scores": {"exact_match": float(answer == target), "f1": 0.25},
    }


def rolling_item(position: int, tokens: Sequence[str]) -> dict[str, Any]:
    """Return the line of a document."""
    values = [-0.01 - (number % 12) for number in range(len(tokens))]
    return {
        "item": f"{position}-{position:016x}",
        "requests": [{"type": "rolling", "text": "".join(tokens), "stride": 0}],
        "target": {"words": 3, "characters": 10, "bytes": 10},
        "answers": [{"log_prob": sum(values), "log_probs": values, "is_greedy": False, "truncated": 0, "tokens": list(tokens)}],
        "scores": {"log_prob": sum(values), "tokens": float(len(tokens)), "words": 3.0},
    }
