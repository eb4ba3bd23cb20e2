"""The command `compare`: compares two results of `gptkit eval` item by item."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from gptkit.errors import DataError
from gptkit.terminal import print_text, write_result
from gptkit.user_files import expand_path

if TYPE_CHECKING:
    from gptkit.command.compare_config import CompareCommand
    from gptkit.evaluation.comparison.comparison import Comparison, TaskComparison
    from gptkit.evaluation.comparison.explanation import Explanation

_log = logging.getLogger("gptkit")


def compare(settings: CompareCommand) -> Comparison:
    """Print the comparison and return it.

    Raises:
        ConfigError: a folder does not exist, or holds no result.
        DataError: a result is damaged or not finished, there is nothing in common, or explain=true and the weights differ.
    """
    from gptkit.evaluation.comparison.comparison import compare_results
    from gptkit.evaluation.comparison.report import (
        comparison_content,
        comparison_lines,
        comparison_table,
        comparison_warnings,
        explanation_content,
        explanation_table,
    )
    from gptkit.evaluation.comparison.stored_results import find_results

    comparison = compare_results(find_results("a", settings.a), find_results("b", settings.b))
    for warning in comparison_warnings(comparison):
        _log.warning("%s", warning)
    if settings.to is not None:
        from gptkit.evaluation.comparison.page import write_comparison_page

        write_comparison_page(expand_path(settings.to), comparison)
    explanations = {name: _explain(task) for name, task in comparison.tasks.items()} if settings.explain else {}
    if settings.format == "json":
        content = comparison_content(comparison)
        for name, explanation in explanations.items():
            content["tasks"][name]["explanation"] = explanation_content(explanation)
        write_result(json.dumps(content, ensure_ascii=False) + "\n")
        return comparison
    print_text("\n".join([*comparison_lines(comparison), comparison_table(comparison)]))
    for name, explanation in explanations.items():
        print_text(f"\n{name}: what the difference consists of\n{explanation_table(explanation)}")
    if settings.to is not None:
        print_text(f"The page is {expand_path(settings.to) / 'report.html'}")
    return comparison


def _explain(task: TaskComparison) -> Explanation:
    """Evaluate again with the checkpoint of the results, step by step."""
    from gptkit.command.eval_models import load_subject
    from gptkit.data.progress import Progress
    from gptkit.evaluation.comparison.explanation import explain
    from gptkit.generation.precision import prepare_device

    checkpoints = [str(each.content.get("checkpoint")) for each in (task.a, task.b)]
    if task.a.protocol.get("precision") == task.b.protocol.get("precision"):
        weights = [each.protocol.get("weights") for each in (task.a, task.b)]
        if weights[0] != weights[1]:
            raise DataError(f"explain=true needs two results of the same weights, and those of {' and '.join(checkpoints)} differ")
    device = prepare_device()
    with Progress("evaluating again") as progress:
        return explain(
            task.a,
            task.b,
            lambda precision: load_subject(checkpoints[0], device, precision=precision),
            progress=lambda name: progress.show(None, name),
        )
