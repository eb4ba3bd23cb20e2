"""Rows of tables as rankings: two or more completions of a prompt, and which are better."""

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
"""How UltraFeedback calls a completion's score, higher being better: the judge's of the whole, and the mean of four aspects."""

LAYOUTS = (
    ColumnLayout((("info",), ("summaries",), ("choice",)), (LABELER, DEMONSTRATION)),
    ColumnLayout((("prompt",), COMPLETIONS, ("ranks", "ranking")), (SYSTEM_COLUMN, LABELER, DEMONSTRATION)),
    ColumnLayout((("prompt",), COMPLETIONS, ("scores",)), (SYSTEM_COLUMN, LABELER, DEMONSTRATION)),
    ColumnLayout((("chosen",), ("rejected",)), (("prompt",), SYSTEM_COLUMN, LABELER, DEMONSTRATION)),
    ColumnLayout((("prompt", "instruction"), COMPLETIONS), (SYSTEM_COLUMN, LABELER, DEMONSTRATION)),
)


def parse_ranking(row: Mapping[str, Any], columns: Mapping[str, str]) -> Ranking:
    """The ranking of a row, its ranks counted from 0, the best.

    Args:
        row: its cells by column.
        columns: which column holds what, as `gptkit.data.parsing.column_layouts.match_columns` finds among `LAYOUTS`.

    Raises:
        DataError: a cell is of the wrong type, there are fewer than two completions, or there is not a rank for each.
    """
    prompt, completions, ranks = _parse_completions(row, columns)
    if len(completions) < 2:
        few = "only one completion" if completions else "no completion"
        raise DataError(f"there is {few}; a ranking has two or more")
    labeler = row[columns["labeler"]] if "labeler" in columns else None
    if not isinstance(labeler, str | int | None):
        raise DataError(f"column {columns['labeler']} holds no name or number but {type(labeler).__name__}")
    shown = row[columns["demonstration"]] if "demonstration" in columns else None
    return Ranking(
        prompt,
        completions,
        ranks,
        labeler=None if labeler is None else str(labeler),
        demonstration=None if shown is None else parse_answer(columns["demonstration"], shown),
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
        raise DataError(f"column {column} holds no list of completions but {type(cells).__name__}")
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
    """Completions that bring their scores, and these ("UltraFeedback: Boosting Language Models with Scaled AI Feedback")."""
    for index, cell in enumerate(cells, 1):
        if not isinstance(cell, Mapping) or "response" not in cell:
            raise DataError(
                f"column {column}: completion {index} is no object with response and {' or '.join(SCORES)}, and no column ranks; "
                "give ranks, ranking or scores"
            )
    # all by the same score: one that some completions lack is of another scale than the one that they have
    name = next((name for name in SCORES if any(cell.get(name) is not None for cell in cells)), SCORES[0])
    completions = tuple(parse_text(f"{column}.response", cell["response"]) for cell in cells)
    return completions, _numbers(f"{column}.{name}", [cell.get(name) for cell in cells], len(cells))


def _numbers(column: str, cells: Any, wanted: int) -> Sequence[float]:
    """A rank or score for each of the completions."""
    if not isinstance(cells, list):
        raise DataError(
            f"column {column} holds no list of numbers but {'nothing (null)' if cells is None else type(cells).__name__}"
        )
    for index, cell in enumerate(cells, 1):
        if not is_number(cell):
            raise DataError(
                f"column {column}: number {index} is {str(cell)[:40]}, which ranks nothing; leave that completion out, or rank it"
            )
    if len(cells) != wanted:
        raise DataError(
            f"column {column} holds {len(cells)} numbers, and there are {wanted} completions; there must be one for each"
        )
    return cells


def _pair(row: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[tuple[Turn, ...], str, str]:
    """Prompt, better and worse completion: of completions alone, or of dialogues that go different ways."""
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
            f"columns {chosen} and {rejected} are no transcripts (Human: ... Assistant: ...) and no lists of messages, "
            "so a prompt is needed; data.columns={prompt:...} names its column"
        )
    if result is None:
        raise DataError(f"columns {chosen} and {rejected} do not end with two answers to the same prompt")
    prompt, better, worse = result
    return with_system(prompt, system), better, worse


def _split_common_turns(better: tuple[Turn, ...], worse: tuple[Turn, ...]) -> tuple[tuple[Turn, ...], str, str] | None:
    """The turns of two dialogues but for the last, and the last turns; None where others differ, or the last are no answers."""
    if better[:-1] != worse[:-1] or (better[-1].role, worse[-1].role) != ("assistant", "assistant"):
        return None
    return better[:-1], better[-1].text, worse[-1].text


def _comparison(row: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[tuple[Turn, ...], tuple[str, ...], tuple[int, ...]]:
    """A choice among summaries (Stiennon and others 2020, "Learning to summarize from human feedback", and its appendix B.1)."""
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
    """The text to summarise, ending where the summary begins; each part of it only where it is known."""
    if not isinstance(info, Mapping):
        raise DataError(f"column {column} holds no object but {type(info).__name__}")
    parts = {"subreddit": "SUBREDDIT: r/", "title": "TITLE: ", "post": "POST: ", "article": ""}
    known = [begin + parse_text(f"{column}.{part}", info[part]) for part, begin in parts.items() if info.get(part)]
    if not info.get("post") and not info.get("article"):
        raise DataError(f"column {column} has neither post nor article, so there is nothing to summarise")
    return "\n\n".join([*known, "TL;DR:"])
