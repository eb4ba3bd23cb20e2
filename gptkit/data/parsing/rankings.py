"""Table rows as rankings: two or more completions of a prompt, and their ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gptkit.data.parsing.column_layouts import ColumnLayout
from gptkit.data.parsing.dialogues import SYSTEM_COLUMN, system_message
from gptkit.data.parsing.messages import as_list, parse_answer, parse_prompt_turns, parse_text, parse_turns, with_system
from gptkit.data.parsing.transcripts import is_transcript, split_at_common_prompt
from gptkit.data.readers.text_lines import is_number
from gptkit.errors import DataError
from gptkit.records import Ranking, Turn

LABELER = ("labeler", "worker")
DEMONSTRATION = ("demonstration",)
COMPLETIONS = ("completions", "responses")

SCORES = ("overall_score", "fine-grained_score")
"""UltraFeedback's names of a completion's score, where higher is better: an overall score, and the mean score of four aspects."""

LAYOUTS = (
    ColumnLayout((("info",), ("summaries",), ("choice",)), (LABELER, DEMONSTRATION)),
    ColumnLayout((("prompt",), COMPLETIONS, ("ranks", "ranking")), (SYSTEM_COLUMN, LABELER, DEMONSTRATION)),
    ColumnLayout((("prompt",), COMPLETIONS, ("scores",)), (SYSTEM_COLUMN, LABELER, DEMONSTRATION)),
    ColumnLayout((("chosen",), ("rejected",)), (("prompt",), SYSTEM_COLUMN, LABELER, DEMONSTRATION)),
    ColumnLayout((("prompt", "instruction"), COMPLETIONS), (SYSTEM_COLUMN, LABELER, DEMONSTRATION)),
)


def parse_ranking(row: Mapping[str, Any], columns: Mapping[str, str]) -> Ranking:
    """Parse the ranking of a row. Rank 0 is the best.

    Args:
        row: the cells of the row by column.
        columns: the columns of the layout, as `gptkit.data.parsing.column_layouts.match_columns` returns them for `LAYOUTS`.

    Raises:
        DataError: a cell has the wrong type, there are fewer than two completions, or there is not exactly one rank for each.
    """
    prompt, completions, ranks = _parse_completions(row, columns)
    if len(completions) < 2:
        count = "only one completion" if completions else "no completion"
        raise DataError(f"there is {count}; a ranking needs at least two")
    labeler = row[columns["labeler"]] if "labeler" in columns else None
    if not isinstance(labeler, str | int | None):
        raise DataError(f"column {columns['labeler']} holds {type(labeler).__name__} instead of a name or number")
    demonstration = row[columns["demonstration"]] if "demonstration" in columns else None
    return Ranking(
        prompt,
        completions,
        ranks,
        labeler=None if labeler is None else str(labeler),
        demonstration=None if demonstration is None else parse_answer(columns["demonstration"], demonstration),
    )


def _parse_completions(
    row: Mapping[str, Any], columns: Mapping[str, str]
) -> tuple[tuple[Turn, ...], tuple[str, ...], tuple[int, ...]]:
    if "chosen" in columns:
        prompt, better, worse = _pair(row, columns)
        return prompt, (better, worse), (0, 1)
    if "choice" in columns:
        return _comparison(row, columns)
    column = columns["completions"]
    cells = as_list(row[column])
    if not isinstance(cells, list):
        raise DataError(f"column {column} holds {type(cells).__name__} instead of a list of completions")
    if "ranks" in columns or "scores" in columns:
        completions = tuple(parse_answer(column, cell) for cell in cells)
        name = "ranks" if "ranks" in columns else "scores"
        values = _numbers(columns[name], row[columns[name]], len(completions))
    else:
        name, (completions, values) = "scores", _parse_scored_completions(column, cells)
    ordered = sorted(set(values), reverse=name == "scores")
    prompt = parse_prompt_turns(columns["prompt"], row[columns["prompt"]], system_message(row, columns))
    return prompt, completions, tuple(ordered.index(value) for value in values)


def _parse_scored_completions(column: str, cells: Sequence[Any]) -> tuple[tuple[str, ...], Sequence[float]]:
    """Return completions and their scores, in the format of "UltraFeedback: Boosting Language Models with Scaled AI Feedback"."""
    for index, cell in enumerate(cells, 1):
        if not isinstance(cell, Mapping) or "response" not in cell:
            raise DataError(
                f"column {column}: completion {index} is not an object with response and {' or '.join(SCORES)}; "
                "add these, or a column ranks, ranking or scores"
            )
    # the same score for all completions, because the two scores have different scales
    name = next((name for name in SCORES if any(cell.get(name) is not None for cell in cells)), SCORES[0])
    completions = tuple(parse_text(f"{column}.response", cell["response"]) for cell in cells)
    return completions, _numbers(f"{column}.{name}", [cell.get(name) for cell in cells], len(cells))


def _numbers(column: str, cells: Any, count: int) -> Sequence[float]:
    """Check that a cell holds one rank or score for each of `count` completions, and return it."""
    if not isinstance(cells, list):
        raise DataError(f"column {column} holds {'null' if cells is None else type(cells).__name__} instead of a list of numbers")
    for index, cell in enumerate(cells, 1):
        if not is_number(cell):
            raise DataError(
                f"column {column}: value {index} is {str(cell)[:40]} instead of a finite number; "
                "rank that completion, or leave it out"
            )
    if len(cells) != count:
        raise DataError(f"column {column} holds {len(cells)} numbers, but there are {count} completions; each needs one")
    return cells


def _pair(row: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[tuple[Turn, ...], str, str]:
    """Return the prompt, the better and the worse completion, from two completions or from two dialogues with a common start."""
    chosen, rejected = columns["chosen"], columns["rejected"]
    cells, system = (row[chosen], row[rejected]), system_message(row, columns)
    if all(isinstance(cell, str) and is_transcript(cell) for cell in cells):
        result = split_at_common_prompt(*cells)
    elif all(isinstance(as_list(cell), list) and len(as_list(cell)) > 1 for cell in cells):
        result = _split_common_turns(parse_turns(chosen, cells[0]), parse_turns(rejected, cells[1]))
    elif "prompt" in columns:
        prompt = parse_prompt_turns(columns["prompt"], row[columns["prompt"]], system)
        return prompt, parse_answer(chosen, cells[0]), parse_answer(rejected, cells[1])
    else:
        raise DataError(
            f"columns {chosen} and {rejected} are neither transcripts (Human: ... Assistant: ...) nor lists of messages, "
            "so a prompt is needed; data.columns={prompt:...} names its column"
        )
    if result is None:
        raise DataError(f"columns {chosen} and {rejected} do not end with two answers to the same prompt")
    prompt, better, worse = result
    return with_system(prompt, system), better, worse


def _split_common_turns(better: tuple[Turn, ...], worse: tuple[Turn, ...]) -> tuple[tuple[Turn, ...], str, str] | None:
    """Return the common turns of two dialogues and the last answer of each; None if the dialogues differ in more than that."""
    if better[:-1] != worse[:-1] or (better[-1].role, worse[-1].role) != ("assistant", "assistant"):
        return None
    return better[:-1], better[-1].text, worse[-1].text


def _comparison(row: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[tuple[Turn, ...], tuple[str, ...], tuple[int, ...]]:
    """Parse a choice among summaries (Stiennon and others 2020, "Learning to summarize from human feedback", appendix B.1)."""
    summaries = as_list(row[columns["summaries"]])
    if not isinstance(summaries, list) or not all(isinstance(each, Mapping) and "text" in each for each in summaries):
        raise DataError(f"column {columns['summaries']} must hold a list of objects with text")
    completions = tuple(parse_answer(columns["summaries"], each["text"]) for each in summaries)
    choice = row[columns["choice"]]
    if not is_number(choice) or choice not in range(len(completions)):
        raise DataError(
            f"column {columns['choice']} is {str(choice)[:40]}; it must be the number of a summary, 0 to {len(completions) - 1}"
        )
    ranks = tuple(int(index != choice) for index in range(len(completions)))
    return (Turn("user", _summary_prompt(columns["info"], row[columns["info"]])),), completions, ranks


def _summary_prompt(column: str, info: Any) -> str:
    """Return the prompt for a summary: the parts of the post that are known, and `TL;DR:`."""
    if not isinstance(info, Mapping):
        raise DataError(f"column {column} holds {type(info).__name__} instead of an object")
    parts = {"subreddit": "SUBREDDIT: r/", "title": "TITLE: ", "post": "POST: ", "article": ""}
    known = [begin + parse_text(f"{column}.{part}", info[part]) for part, begin in parts.items() if info.get(part)]
    if not info.get("post") and not info.get("article"):
        raise DataError(f"column {column} has neither post nor article to summarise")
    return "\n\n".join([*known, "TL;DR:"])
