"""The command `compare`: compares two results of `gptkit eval` item by item."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from gptkit.terminal import print_text, write_result

if TYPE_CHECKING:
    from gptkit.command.compare_config import CompareCommand
    from gptkit.evaluation.comparison import Comparison

_log = logging.getLogger("gptkit")


def compare(settings: CompareCommand) -> Comparison:
    """Print the comparison and return it.

    Raises:
        ConfigError: a folder does not exist, or holds no result.
        DataError: a result is damaged or not finished, or there is nothing in common.
    """
    from gptkit.evaluation.comparison import compare_results
    from gptkit.evaluation.comparison_report import (
        comparison_content,
        comparison_lines,
        comparison_table,
        comparison_warnings,
    )
    from gptkit.evaluation.stored_results import find_results

    comparison = compare_results(find_results("a", settings.a), find_results("b", settings.b))
    for warning in comparison_warnings(comparison):
        _log.warning("%s", warning)
    if settings.format == "json":
        write_result(json.dumps(comparison_content(comparison), ensure_ascii=False) + "\n")
    else:
        print_text("\n".join([*comparison_lines(comparison), comparison_table(comparison)]))
    return comparison
