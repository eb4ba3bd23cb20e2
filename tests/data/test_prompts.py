"""The source `prompts`: prompts for a policy, and their facts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.data import PromptsConfig
from gptkit.errors import GptkitError
from gptkit.records import Prompt, Turn

Table = Callable[..., Path]

HI, HELLO, QUESTION, ANSWER = (
    Turn("user", "Hi"),
    Turn("assistant", "Hello."),
    Turn("user", "Two plus two?"),
    Turn("assistant", "Four."),
)
TRANSCRIPT = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Two plus two?"


def messages(*turns: Turn) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.text} for turn in turns]


def prompts(path: Any, **settings: Any) -> list[Prompt]:
    return list(PromptsConfig(path=str(path), **settings).build().records("train"))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a.jsonl", "b.parquet"])
@pytest.mark.parametrize(
    "row",
    [
        {"messages": messages(HI, HELLO, QUESTION)},
        {"messages": messages(HI, HELLO, QUESTION, ANSWER)},
        {"prompt": messages(HI, HELLO, QUESTION, ANSWER)},
        {"prompt": TRANSCRIPT},
        {"prompt": TRANSCRIPT + "\n\nAssistant:"},
        {"transcript": TRANSCRIPT + "\n\nAssistant:"},
        {"text": TRANSCRIPT + "\n\nAssistant: Four."},
        {
            "conversations": [
                {"from": "human" if turn.role == "user" else "gpt", "value": turn.text} for turn in (HI, HELLO, QUESTION, ANSWER)
            ]
        },
    ],
)
def test_last_answer_of_a_dialogue_is_removed(table: Table, row: dict[str, Any], name: str) -> None:
    assert prompts(table(row, name=name)) == [Prompt((HI, HELLO, QUESTION))]


def test_single_texts_are_prompts(table: Table) -> None:
    path = table({"prompt": "Two plus two?"}, {"instruction": "Two plus two?", "input": ""})
    assert prompts(path) == [Prompt((QUESTION,))] * 2


def test_other_columns_become_facts(table: Table) -> None:
    path = table({"prompt": "Two plus two?", "system": "Be brief.", "answer": "4", "level": 1, "tags": ["x"], "note": None})
    assert prompts(path) == [Prompt((Turn("system", "Be brief."), QUESTION), {"answer": "4", "level": "1"})]
    assert prompts(path, columns={"prompt": "answer"})[0].facts == {"prompt": "Two plus two?", "level": "1"}


def test_tokenizer_is_trained_on_prompts_without_facts(table: Table) -> None:
    assert list(PromptsConfig(path=str(table({"prompt": "Two plus two?", "answer": "4"}))).build().texts()) == ["Two plus two?"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": None}, "column prompt holds null instead of text"),
        ({"prompt": TRANSCRIPT + "\n\nAssistant: Four."}, "column prompt ends with a turn of the assistant"),
        ({"messages": []}, "column messages has no turn of the user to answer"),
        ({"messages": messages(ANSWER)}, "column messages has no turn of the user to answer"),
        ({"question": "x"}, "the columns question match no known layout; expected prompt; or messages; or"),
    ],
)
def test_invalid_row_is_a_one_line_error_that_names_the_line(table: Table, row: dict[str, Any], reason: str) -> None:
    path = table({"prompt": "x"}, row)
    with pytest.raises(GptkitError) as caught:
        prompts(path)
    assert str(caught.value).startswith(f"{path}:2: ") and reason in str(caught.value)


def test_a_prompt_may_end_before_any_answer_of_its_dialogue(table: Table) -> None:
    rows = [{"messages": messages(Turn("user", f"Hi {n}"), HELLO, QUESTION, ANSWER)} for n in range(40)]
    path = table(*rows)
    chosen = prompts(path, turn="random")
    assert {len(prompt.turns) for prompt in chosen} == {1, 3}
    assert all(prompt.turns[-1].role == "user" for prompt in chosen)
    assert chosen == prompts(path, turn="random")
    fingerprints = {PromptsConfig(path=str(path), turn=turn).build().fingerprint for turn in ("last", "random")}
    assert len(fingerprints) == 2
