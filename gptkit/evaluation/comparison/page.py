"""The page of a comparison: differences with their intervals, and the items whose score changed with the tokens of both results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gptkit.atomic_io import wrap_os_errors, write_file
from gptkit.errors import ConfigError
from gptkit.evaluation.comparison.comparison import Comparison, TaskComparison
from gptkit.evaluation.comparison.paired import PairedDifference
from gptkit.evaluation.comparison.report import comparison_lines, comparison_warnings, difference_cells, format_p
from gptkit.evaluation.page.content import TEMPLATES
from gptkit.evaluation.page.items import DIGITS, script_json
from gptkit.page.html_page import render
from gptkit.page.whiskers import Axis, draw_whisker

FILE = "report.html"
MARGIN = 1.15
"""The axis of a difference ends this far beyond its interval."""


def write_comparison_page(folder: Path, comparison: Comparison) -> Path:
    """Write report.html and return its path.

    Raises:
        ConfigError: the folder holds results, whose page it would replace.
        GptkitError: the page cannot be written.
    """
    if (folder / "results.json").exists():
        raise ConfigError(f"to={folder} holds the results of an evaluation; choose another folder")
    with wrap_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / FILE, comparison_page(comparison))
    return folder / FILE


def comparison_page(comparison: Comparison) -> str:
    """Return the page of a comparison."""
    tasks = comparison.tasks
    first = next(iter(tasks.values()))
    names = [str(each.content.get("checkpoint")) for each in (first.a, first.b)]
    if names[0] == names[1]:
        names = [str(each.folder) for each in (first.a, first.b)]
    return render(
        "comparison.html",
        templates=TEMPLATES,
        scripts=("tokens.js", "flips.js"),
        title=f"{names[1]} compared with {names[0]}",
        lead=f"a is {names[0]}, b is {names[1]}; differences are b - a",
        facts=comparison_lines(comparison),
        warnings=comparison_warnings(comparison),
        several=len(tasks) > 1,
        tasks=[{"name": name, "rows": _rows(task), "data": script_json(_flips(task))} for name, task in tasks.items()],
    )


def _rows(task: TaskComparison) -> list[dict[str, Any]]:
    return [_row(name, each) for name, each in task.differences.items()]


def _row(name: str, each: PairedDifference) -> dict[str, Any]:
    a, b, difference, interval, test, p = difference_cells(each)
    known = [abs(value) for value in (each.difference, each.low, each.high) if value is not None]
    end = MARGIN * max(known) or 1.0
    label = f"{name}: b - a is {difference}, 95% interval {interval}"
    return {
        "name": name,
        "cells": [a, b, difference],
        "drawing": draw_whisker(Axis(-end, end), each.difference, each.low, each.high, label=label, reference=0.0),
        "after": [interval, test, p, format_p(each.adjusted_p_value)],
        "counts": [f"{each.higher:,}", f"{each.lower:,}", f"{each.equal:,}"],
    }


def _flips(task: TaskComparison) -> dict[str, Any]:
    """Return the items whose score differs, the largest changes first."""
    score = _main_score(task)
    pairing = task.pairing
    changed = []
    for row_a, row_b in zip(pairing.rows_a, pairing.rows_b, strict=True):
        one, other = task.a.items[row_a].scores[score], task.b.items[row_b].scores[score]
        if one != other:
            changed.append((row_a, row_b, one, other))
    changed.sort(key=lambda each: -abs(each[3] - each[2]))
    lines = zip(task.a.lines([row for row, *_ in changed]), task.b.lines([row for _, row, *_ in changed]), strict=True)
    items = [_flip(line_a, line_b, one, other) for (line_a, line_b), (*_, one, other) in zip(lines, changed, strict=True)]
    return {"score": score, "items": items}


def _main_score(task: TaskComparison) -> str:
    """Return the score of items that stands for the main metric: that of its name, or else the first one."""
    scores = task.a.items[0].scores
    return next((name for name in task.differences if name in scores), next(iter(scores)))


def _flip(a: Mapping[str, Any], b: Mapping[str, Any], one: float, other: float) -> dict[str, Any]:
    return {
        "id": a["item"],
        "target": a["target"],
        "scores": [one, other],
        "requests": list(_requests(a, b)),
    }


def _requests(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each request with the answers of a and b. The texts of b are left out where they are those of a."""
    for index in range(max(len(a["requests"]), len(b["requests"]))):
        sides = [each["requests"][index] if index < len(each["requests"]) else None for each in (a, b)]
        contexts = [None if side is None else side.get("context", side.get("prompt", "")) for side in sides]
        answers = [
            None if side is None else _answer(side, each["answers"][index]) for side, each in zip(sides, (a, b), strict=True)
        ]
        yield {"contexts": contexts[:1] if contexts[0] == contexts[1] else contexts, "answers": answers}


def _answer(request: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    if "text" in answer:
        return {"text": answer["text"]}
    if answer.get("tokens"):
        return {"tokens": answer["tokens"], "logProbs": [round(value, DIGITS) for value in answer["log_probs"]]}
    return {"text": request.get("continuation", request.get("text", "")), "logProb": round(answer.get("log_prob", 0.0), DIGITS)}
