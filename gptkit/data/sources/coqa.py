"""The source `coqa`: questions of conversations about stories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptkit.data.readers.text_lines import read_lines
from gptkit.data.sources.evaluation_files import EvaluationFiles
from gptkit.errors import DataError
from gptkit.records import Example

if TYPE_CHECKING:
    from gptkit.data.evaluation_config import CoQAConfig


class CoQA(EvaluationFiles):
    """An example has the story, the conversation so far and the question as its text, as lines that begin with Q: and A:."""

    formats = (".json",)

    def __init__(self, settings: CoQAConfig) -> None:
        super().__init__(settings)

    def read(self, path: Path) -> Iterator[Example]:
        for number, conversation in enumerate(_conversations(path, self.errors), 1):
            where = f"{path}: conversation {number}"
            try:
                yield from _examples(conversation, where)
            except (KeyError, TypeError, IndexError, AttributeError) as error:
                missing = f"there is no {error.args[0]}" if isinstance(error, KeyError) else "it is malformed"
                raise DataError(f"{where}: {missing}; it must have a story, questions and answers with input_text") from None


def _conversations(path: Path, errors: str) -> list[Any]:
    try:
        content = json.loads("".join(line for _, line, _ in read_lines(path, errors=errors)))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {str(error).partition(chr(10))[0]}") from None
    conversations = content.get("data") if isinstance(content, dict) else None
    if not isinstance(conversations, list):
        raise DataError(f"{path}: there is no list `data` of conversations, as in the published files of CoQA")
    return conversations


def _examples(conversation: dict[str, Any], where: str) -> Iterator[Example]:
    story, questions, answers = conversation["story"].strip(), conversation["questions"], conversation["answers"]
    others = [turns for _, turns in sorted(conversation.get("additional_answers", {}).items())]
    for name, turns in [("answers", answers), *(("additional_answers", turns) for turns in others)]:
        if len(turns) != len(questions):
            raise DataError(f"{where}: there are {len(questions)} questions, but {len(turns)} {name}")
    lines = [story, ""]
    for turn, question in enumerate(questions):
        lines.append(f"Q: {question['input_text'].strip()}")
        right = tuple(turns[turn]["input_text"].strip() for turns in (answers, *others))
        if not right[0]:
            raise DataError(f"{where}: question {turn + 1} has no answer")
        domain = str(conversation.get("source", ""))
        yield Example("\n".join(lines), right[0], options=right, where=f"{where}, question {turn + 1}", group=domain)
        lines.append(f"A: {right[0]}")
