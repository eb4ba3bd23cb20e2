"""The examples of an evaluation on its page: those in context, or fixed draws of examples and what each of them gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gptkit.evaluation.page.content import TEMPLATES, Evaluation, Section
from gptkit.evaluation.report import format_value
from gptkit.page.html_page import fragment

DETAILS = {"C": "C = {:g}", "folds": "{:,} folds", "updates": "{:,} updates", "examples_in_context": "{:.1f} examples fit"}
"""What a draw has in results.json besides its metrics, as text."""


def examples_section(evaluation: Evaluation) -> Section | None:
    """Return how many solved examples the items have, or the metrics of each draw of examples; None if there are none."""
    statistics, draws = evaluation.results.get("fewshot", {}), evaluation.results.get("draws")
    if draws:
        facts = [(f"draw {number}", _describe(draw)) for number, draw in enumerate(draws["each"], 1)]
        facts.append(("items left out, because they are in a draw", f"{draws['items_left_out']:,}"))
        return Section("Draws of examples", fragment("facts.html", templates=TEMPLATES, facts=facts))
    if not statistics.get("k"):
        return None
    facts = [("examples asked for (K)", f"{statistics['k']:,}")]
    if "mean" in statistics:
        facts.append(("examples of an item, on average", f"{statistics['mean']:,.1f}"))
    if "items_with_fewer" in statistics:
        fewer = f"{statistics['items_with_fewer']:,} of {evaluation.results.get('items', 0):,}"
        facts.append(
            ("items with fewer than K", f"{fewer}: more do not fit the context" if statistics["items_with_fewer"] else fewer)
        )
    return Section("Examples in context", fragment("facts.html", templates=TEMPLATES, facts=facts))


def examples_in_words(results: Mapping[str, Any]) -> str:
    """Return what the model learned from, in a few words."""
    k = results.get("fewshot", {}).get("k", 0)
    if not k:
        return "zero-shot"
    examples = f"{k:,} example{'s' * (k != 1)}"
    draws = results.get("draws")
    if not draws:
        return f"{examples} in context"
    modes = {"linear_probe": f"linear probe of {examples}", "fine_tune": f"fine-tuned on {examples}"}
    count = len(draws["each"])
    return f"{modes.get(draws['mode'], f'{examples} in context')}, {count:,} draw{'s' * (count != 1)}"


def _describe(draw: Mapping[str, Any]) -> str:
    metrics = [f"{name} {'-' if value is None else format_value(value)}" for name, value in draw["metrics"].items()]
    return ", ".join([*metrics, *(text.format(draw[key]) for key, text in DETAILS.items() if key in draw)])
