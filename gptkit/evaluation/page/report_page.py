"""The page of an evaluation: report.html in its folder, a self-contained file that depends on the other files alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gptkit.atomic_io import write_file
from gptkit.evaluation.page.calibration import calibration_section
from gptkit.evaluation.page.content import FILE, TEMPLATES, Evaluation, Section, read_evaluation
from gptkit.evaluation.page.draws import examples_in_words, examples_section
from gptkit.evaluation.page.groups import groups_section
from gptkit.evaluation.page.items import items_section
from gptkit.evaluation.page.metrics import findings, metrics_section, tiles
from gptkit.evaluation.page.protocol import protocol_section
from gptkit.page.html_page import render
from gptkit.page.numbers import format_count

SECTIONS: Sequence[Callable[[Evaluation], Section | None]] = (
    metrics_section,
    groups_section,
    calibration_section,
    examples_section,
    protocol_section,
    items_section,
)
"""The sections of the page in order. A section that does not apply to an evaluation is None."""


def write_page(folder: Path) -> Path:
    """Write report.html from results.json and items.jsonl, and return its path.

    Raises:
        DataError: a file is damaged.
        GptkitError: the page cannot be written.
    """
    path = folder / FILE
    write_file(path, page(read_evaluation(folder)))
    return path


def page(evaluation: Evaluation) -> str:
    """Return the page of an evaluation."""
    results = evaluation.results
    words = [f"{results['items']:,} items"] if "items" in results else []
    if results.get("parameters"):
        words.append(f"{format_count(results['parameters'])} parameters")
    words.append(examples_in_words(results))
    return render(
        "evaluation.html",
        templates=TEMPLATES,
        scripts=("tokens.js", "items.js"),
        title=evaluation.title,
        lead=" · ".join(words),
        tiles=tiles(evaluation),
        findings=findings(evaluation),
        sections=[section for build in SECTIONS if (section := build(evaluation)) is not None],
    )
