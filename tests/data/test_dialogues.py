"""The source `dialogues`: all published layouts give the same dialogue, and invalid rows are one-line errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.data import DialoguesConfig
from gptkit.errors import ConfigError, DataError, GptkitError
from gptkit.records import Dialogue, Turn

Table = Callable[..., Path]

SYSTEM, QUESTION, ANSWER = Turn("system", "Be brief."), Turn("user", "Größe?"), Turn("assistant", "Zwei 🙂")
MESSAGES = [{"role": turn.role, "content": turn.text} for turn in (QUESTION, ANSWER)]
SHAREGPT = [{"from": "human", "value": QUESTION.text}, {"from": "gpt", "value": ANSWER.text}]


def dialogues(path: Any, split: str = "train", **settings: Any) -> list[Dialogue]:
    return list(DialoguesConfig(path=str(path), **settings).build().records(split))  # type: ignore[arg-type]


def fails(path: Any, **settings: Any) -> str:
    with pytest.raises(GptkitError) as caught:
        dialogues(path, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.parquet"])
@pytest.mark.parametrize(
    "row",
    [
        {"messages": MESSAGES},
        {"messages": {"role": ["user", "assistant"], "content": [QUESTION.text, ANSWER.text]}},
        {"conversations": SHAREGPT},
        {"prompt": QUESTION.text, "completion": ANSWER.text},
        {"prompt": QUESTION.text, "response": ANSWER.text},
        {"prompt": MESSAGES[:1], "completion": MESSAGES[1:]},
        {"prompt": f"\n\nHuman: {QUESTION.text}\n\nAssistant:", "completion": ANSWER.text},
        {"instruction": QUESTION.text, "input": "", "output": ANSWER.text},
        {"instruction": QUESTION.text, "output": ANSWER.text},
        {"transcript": f"\n\nHuman: {QUESTION.text}\n\nAssistant: {ANSWER.text}"},
        {"text": f"Human: {QUESTION.text}\n\nAssistant: {ANSWER.text}", "id": 7},
    ],
    ids=lambda row: "+".join(row),
)
def test_every_layout_in_every_file_format_gives_the_same_dialogue(table: Table, row: dict[str, Any], name: str) -> None:
    assert dialogues(table(row, row, name=name)) == [Dialogue((QUESTION, ANSWER))] * 2


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "system", "content": SYSTEM.text}, *MESSAGES]},
        {"messages": MESSAGES, "system": SYSTEM.text},
        {"conversations": SHAREGPT, "system": SYSTEM.text},
        {"prompt": QUESTION.text, "completion": ANSWER.text, "system": SYSTEM.text},
        {"instruction": QUESTION.text, "output": ANSWER.text, "system": SYSTEM.text},
        {
            "text": f"{SYSTEM.text}\n\nHuman: {QUESTION.text}\n\nAssistant: {ANSWER.text}",
            "conversations": SHAREGPT,
            "system": SYSTEM.text,
        },
    ],
)
def test_system_message_is_the_first_turn(table: Table, row: dict[str, Any]) -> None:
    assert dialogues(table(row)) == [Dialogue((SYSTEM, QUESTION, ANSWER))]


def test_white_space_of_texts_is_kept(table: Table) -> None:
    (dialogue,) = dialogues(table({"prompt": "Once ", "completion": " upon\n"}))
    assert [turn.text for turn in dialogue.turns] == ["Once ", " upon\n"]


def test_input_follows_the_instruction_after_a_blank_line(table: Table) -> None:
    rows = [{"instruction": "Add.", "input": text, "output": "5"} for text in ("2 and 3", None, "")]
    assert [dialogue.turns[0].text for dialogue in dialogues(table(*rows))] == ["Add.\n\n2 and 3", "Add.", "Add."]


def test_data_columns_maps_names_and_selects_the_layout(table: Table) -> None:
    path = table({"question": "a", "answer": "b", "messages": MESSAGES, "chosen": "\n\nHuman: c\n\nAssistant: d"})
    first = {"prompt": "question", "completion": "answer"}
    assert dialogues(path) == [Dialogue((QUESTION, ANSWER))]
    assert dialogues(path, columns=first) == [Dialogue((Turn("user", "a"), Turn("assistant", "b")))]
    assert dialogues(path, columns={"transcript": "chosen"}) == [Dialogue((Turn("user", "c"), Turn("assistant", "d")))]
    built = [DialoguesConfig(path=str(path), columns=columns).build() for columns in ({}, first)]
    assert built[0].fingerprint != built[1].fingerprint


def test_each_split_reads_its_files_and_the_fingerprint_ignores_their_location(table: Table, tmp_path: Path) -> None:
    rows = [{"prompt": "a", "completion": text} for text in ("one", "two", "three")]
    train, validation, test = (table(row, name=f"{index}.jsonl") for index, row in enumerate(rows))
    built = DialoguesConfig(path=str(train), validation=str(validation), test=str(test)).build()
    assert built.splits == ("train", "validation", "test")
    assert [record.turns[1].text for split in built.splits for record in built.records(split)] == ["one", "two", "three"]
    moved = DialoguesConfig(path=str(train.rename(tmp_path / "moved.jsonl")), validation=str(validation), test=str(test)).build()
    assert moved.fingerprint == built.fingerprint
    assert DialoguesConfig(path=str(validation)).build().fingerprint != DialoguesConfig(path=str(test)).build().fingerprint
    assert "in both data.path and data.test" in fails(test, test=str(test))


def test_tokenizer_is_trained_on_all_turns(table: Table) -> None:
    assert list(DialoguesConfig(path=str(table({"messages": MESSAGES}))).build().texts()) == ["Größe?\nZwei 🙂"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"a": 1, "b": 2},
            "the columns a, b match no known layout; expected messages; or conversations; or prompt + completion|response; or",
        ),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            "turn 1 has the unknown role tool; known roles are system, user, human, assistant, gpt",
        ),
        ({"messages": [*MESSAGES, MESSAGES[1]]}, "turns 2 and 3 both have the role assistant; roles must alternate"),
        ({"messages": [*MESSAGES, {"role": "system", "content": "x"}]}, "turn 3 is a system message, which must come first"),
        ({"messages": MESSAGES[:1]}, "has no turn of the assistant"),
        ({"messages": [{"role": "user"}]}, "turn 1 must have role and content, or from and value"),
        ({"messages": [{"role": "user", "content": None}]}, "turn 1 holds NoneType instead of text"),
        ({"messages": "x"}, "neither a list of messages nor a transcript"),
        ({"messages": None}, "neither a list of messages nor a transcript"),
        ({"text": "A tale."}, "column text holds neither a list of messages nor a transcript, but a text without turns"),
        (
            {"prompt": "x", "completion": " "},
            "answer 1 is empty; drop such rows, fill them, or set data.empty=keep",
        ),
        ({"prompt": "x", "completion": None}, "column completion holds null instead of text"),
        ({"prompt": MESSAGES, "completion": "x"}, "column prompt ends with a turn of the assistant"),
        (
            {"prompt": "x", "completion": MESSAGES},
            "column completion holds 2 messages; it must hold a single message of the assistant",
        ),
        ({"instruction": 3, "output": "x"}, "column instruction holds int instead of text"),
    ],
)
def test_invalid_row_is_a_one_line_error_that_names_the_line(table: Table, row: dict[str, Any], reason: str) -> None:
    path = table({"prompt": "a", "completion": "b"}, row)
    message = fails(path)
    assert message.startswith(f"{path}:2: ") and reason in message, message


def test_empty_keep_accepts_an_empty_answer(table: Table) -> None:
    (dialogue,) = dialogues(table({"prompt": "x", "completion": ""}), empty="keep")
    assert dialogue.turns[1] == Turn("assistant", "")


def test_unknown_column_names_the_nearest_one(table: Table) -> None:
    path = table({"question": "a", "completion": "b"})
    assert "there is no column qestion; data.columns.prompt can be one of: question, completion. Did you mean question?" in fails(
        path, columns={"prompt": "qestion"}
    )
    with pytest.raises(ConfigError, match=r"data\.columns has no key promt; .*Did you mean prompt\?"):
        dialogues(path, columns={"promt": "question"})


def test_file_without_dialogues_is_an_error(table: Table) -> None:
    path = table()
    with pytest.raises(DataError, match="there are no dialogues for the train split"):
        dialogues(path)
