"""The metrics of an evaluation on its page: with intervals beside chance, of clean and dirty items, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gptkit.evaluation.page.content import TEMPLATES, Evaluation, Section
from gptkit.evaluation.report import format_value
from gptkit.page.html_page import fragment
from gptkit.page.whiskers import Axis, axis_for, draw_whisker

SUBSETS = ("clean", "dirty", "undecided")


def tiles(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return the main numbers, each with its name."""
    results = evaluation.results
    facts = []
    for name, metric in list(results["metrics"].items())[:2]:
        interval = "" if metric.get("low") is None else f", 95% interval {_number(metric['low'])} to {_number(metric['high'])}"
        facts.append((_number(metric["value"]), f"{name}{interval}"))
    name, metric = next(iter(results["metrics"].items()))
    if results.get("chance", {}).get(name) is not None:
        facts.append((_number(results["chance"][name]), f"{name} of random guessing"))
    if metric.get("minimum_detectable_difference") is not None:
        facts.append((_number(metric["minimum_detectable_difference"]), f"smallest detectable difference of {name}"))
    facts.append((f"{results.get('items', 0):,}", "items"))
    if results.get("truncated_requests"):
        facts.append((f"{results['truncated_requests']:,} of {results['requests']:,}", "requests truncated"))
    return facts


def findings(evaluation: Evaluation) -> list[dict[str, str]]:
    """Return what a reader should know before the numbers, as the macro `diagnostics` shows it."""
    return [finding for finding in (_against_chance(evaluation), _truncated(evaluation), _contaminated(evaluation)) if finding]


def metrics_section(evaluation: Evaluation) -> Section:
    """Return the table of the metrics, with a line for each subset of the items."""
    results = evaluation.results
    contamination = results.get("contamination", {})
    subsets = {name: contamination[name] for name in SUBSETS if name in contamination}
    parts = [results["metrics"], *(subset["metrics"] for subset in subsets.values())]
    shared = axis_for(value for part in parts for metric in part.values() for value in _ends(metric))
    is_shared = (shared.low, shared.high) == (0, 1)
    rows = []
    for name, metric in results["metrics"].items():
        chance = results.get("chance", {}).get(name)
        own = [metric, *(subset["metrics"].get(name, {}) for subset in subsets.values())]
        axis = shared if is_shared else axis_for([chance, *(value for each in own for value in _ends(each))])
        rows.append(_row(name, metric, results.get("items", 0), chance, axis, is_main=True, shows_axis=not is_shared))
        for subset, part in subsets.items():
            rows.append(_row(subset, part["metrics"].get(name, {}), part["items"], chance, axis, is_main=False, shows_axis=False))
    html = fragment(
        "metrics.html",
        templates=TEMPLATES,
        rows=rows,
        axis=["0", "0.5", "1"] if is_shared else [],
        contamination=contamination,
        has_chance=any(row["chance"] for row in rows),
    )
    return Section("Metrics", html)


def _ends(metric: Mapping[str, Any]) -> list[float | None]:
    return [metric.get(key) for key in ("value", "low", "high")]


def _row(
    name: str, metric: Mapping[str, Any], items: int, chance: float | None, axis: Axis, *, is_main: bool, shows_axis: bool
) -> dict[str, Any]:
    value, low, high = _ends(metric)
    interval = "" if low is None or high is None else f"{_number(low)} to {_number(high)}"
    drawing = None
    if value is not None:
        beside = "" if chance is None else f"; random guessing {_number(chance)}"
        label = f"{name} {_number(value)}{f', 95% interval {interval}' if interval else ''}{beside}"
        drawing = draw_whisker(axis, value, low, high, label=label, reference=chance)
    return {
        "name": name,
        "is_main": is_main,
        "value": _number(value),
        "interval": interval,
        "drawing": drawing,
        "axis": [_number(axis.low), _number(axis.high)] if shows_axis and drawing is not None else [],
        "chance": "" if chance is None or not is_main else _number(chance),
        "detectable": _number(metric.get("minimum_detectable_difference")),
        "items": f"{metric.get('items', items):,}",
    }


def _number(value: float | None) -> str:
    return "" if value is None else format_value(value)


def _against_chance(evaluation: Evaluation) -> dict[str, str] | None:
    name, metric = next(iter(evaluation.results["metrics"].items()))
    chance, (_, low, high) = evaluation.results.get("chance", {}).get(name), _ends(metric)
    if chance is None or low is None or high is None:
        return None
    guessing = f"random guessing ({_number(chance)})"
    if low > chance:
        return {"level": "good", "title": f"{name} is above {guessing}", "text": "The whole 95% interval lies above it."}
    if high < chance:
        return {
            "level": "bad",
            "title": f"{name} is below {guessing}",
            "text": "The whole 95% interval lies below it: look for a mistake in the format of the requests or of the answers.",
        }
    return {
        "level": "note",
        "title": f"{name} cannot be told apart from {guessing}",
        "text": "Its 95% interval contains it. More items make the interval smaller.",
    }


def _truncated(evaluation: Evaluation) -> dict[str, str] | None:
    results = evaluation.results
    if not results.get("truncated_requests"):
        return None
    context = evaluation.protocol.get("context")
    return {
        "level": "note",
        "title": f"{results['truncated_requests']:,} of {results['requests']:,} requests were truncated on the left",
        "text": f"They are longer than the context of the model{f', {context:,} tokens' if context else ''}: it has not read their "
        "beginning.",
    }


def _contaminated(evaluation: Evaluation) -> dict[str, str] | None:
    contamination, items = evaluation.results.get("contamination", {}), evaluation.results.get("items", 0)
    dirty = contamination.get("dirty", {}).get("items", 0)
    if not dirty:
        return None
    return {
        "level": "note",
        "title": f"{dirty:,} of {items:,} items share {contamination['n']} words in a row with the training text",
        "text": "The metrics of clean and dirty items are below those of all items.",
    }
