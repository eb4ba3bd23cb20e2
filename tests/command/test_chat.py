"""`gptkit chat` with standard input that is not a terminal: every line is a message or a command."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gptkit.attention import DenseAttentionConfig
from gptkit.chat_template import ChatMLConfig
from gptkit.model import GPTConfig
from tests.command_line import CommandResult, GptkitCommand


@torch.no_grad()
def spread(model: Any) -> None:
    """Moves the logits apart, so that rounding decides nothing, and lets the model say characters of ASCII alone."""
    for parameter in model.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    model.head.weight[128:] = 0


MODEL = GPTConfig(layers=1, heads=2, width=16, context=256, tied=False)


@pytest.fixture(scope="module")
def run_folder(untrained_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return untrained_run(folder, model=MODEL, attention=DenseAttentionConfig(), change=spread, chat_template=ChatMLConfig())


Chat = Callable[..., CommandResult]


@pytest.fixture
def chat(gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch, run_folder: Path) -> Chat:
    """`chat(text, *words)`: runs `gptkit chat` with this text as standard input."""

    def run(text: str | bytes, *words: str, checkpoint: Path = run_folder) -> CommandResult:
        content = text.encode() if isinstance(text, str) else text
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
        return gptkit_command("chat", f"checkpoint={checkpoint}", "max_new_tokens=8", "precision=fp32", *words)

    return run


def test_answers_are_those_of_generate_to_the_same_messages(
    chat: Chat, gptkit_command: GptkitCommand, run_folder: Path, tmp_path: Path
) -> None:
    words = ("system=Be brief.", "seed=5", "temperature=0.8", "top_k=40", "format=json")
    talked = chat("One?\n\nTwo?\r\n/retry\nThree?\n", *words)
    assert (talked.status, talked.err) == (
        0,
        "gptkit: answers end at max_new_tokens=8; /set max_new_tokens=16 allows longer ones\n",
    )
    answers = [json.loads(line) for line in talked.out.splitlines()]
    assert [turn["content"] for turn in answers[2]["messages"]] == ["Be brief.", "One?", answers[0]["text"], "Two?"]
    assert answers[3]["messages"][4:] == [
        {"role": "assistant", "content": answers[2]["text"]},
        {"role": "user", "content": "Three?"},
    ]
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"messages": answer["messages"]}) + "\n" for answer in answers[:1]))
    generate = (
        "generate",
        f"checkpoint={run_folder}",
        f"prompts={file}",
        "chat=true",
        "max_new_tokens=8",
        "precision=fp32",
        *words[1:],
    )
    assert json.loads(gptkit_command(*generate).out) == answers[0]
    file.write_text(json.dumps({"messages": answers[1]["messages"]}) + "\n")
    assert [json.loads(line) for line in gptkit_command(*generate, "samples=2").out.splitlines()] == answers[1:3]
    assert chat("One?\n\nTwo?\r\n/retry\nThree?\n", *words).out == talked.out
    plain = chat("One?\n", *words[:-1])
    assert plain.out == answers[0]["text"] + "\n"


def test_conversations_are_saved_and_loaded_as_dialogues(chat: Chat, in_folder: Path) -> None:
    script = "One?\n/save talk.jsonl\n//two\n/save talk.jsonl\n/reset\n/system Sing.\nThree?\n/save talk.jsonl\n"
    first = chat(script, "format=json")
    assert first.status == 0
    lines = [json.loads(line)["messages"] for line in (in_folder / "talk.jsonl").read_text().splitlines()]
    assert [len(line) for line in lines] == [2, 4, 3]
    assert lines[1][2] == {"role": "user", "content": "/two"}
    assert lines[2][0] == {"role": "system", "content": "Sing."}

    from gptkit.data import DialoguesConfig

    source = DialoguesConfig(path=["talk.jsonl"]).build()
    assert [len(record.turns) for record in source.records("train")] == [2, 4, 3]  # type: ignore[union-attr]

    def last_messages(script: str) -> Any:
        outcome = chat(script, "format=json")
        assert outcome.status == 0, outcome.err
        return json.loads(outcome.out.splitlines()[-1])["messages"]

    assert last_messages("/load talk.jsonl\nFour?\n") == [*lines[2], {"role": "user", "content": "Four?"}]
    assert last_messages("/load talk.jsonl 1\nFour?\n") == [*lines[0], {"role": "user", "content": "Four?"}]
    assert last_messages("/load talk.jsonl 2\n/undo\n/undo\nFour?\n") == [{"role": "user", "content": "Four?"}]
    (in_folder / "open.jsonl").write_text(json.dumps({"messages": lines[0][:1]}))  # without an answer
    assert chat("/load open.jsonl\n", "format=json").out == first.out.splitlines(keepends=True)[0]
    chat("/load open.jsonl\n/save open.jsonl\n")
    assert json.loads((in_folder / "open.jsonl").read_text().splitlines()[1])["messages"] == lines[0]


def test_set_changes_sampling_as_on_the_command_line(chat: Chat) -> None:
    changed = chat("/set temperature=0.5 top_p=0.9 seed=4\nHello\n")
    assert changed.out == chat("Hello\n", "temperature=0.5", "top_p=0.9", "seed=4").out
    greedy = chat("Hello\n", "temperature=0").out
    stop = greedy[3:5]
    assert chat(f"/set temperature=0 stop={json.dumps([stop])}\nHello\n/set stop=[]\n/retry\n").out == (
        greedy[: greedy.index(stop)] + "\n" + greedy
    )
    shown = chat("/set\n/system\n/help\n/exit\nnot read\n", "top_k=7")
    assert (shown.status, shown.out) == (0, "")
    assert "top_k=7" in shown.err
    assert "there is no system message" in shown.err
    assert "/retry" in shown.err


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("/set temperature=-1", 2, "temperature=-1 must be at least 0"),
        ("/set temperature=hot", 2, "temperature=hot must be a number"),
        ("/set top_k=1.5", 2, "top_k=1.5 must be a whole number"),
        ("/set top_p=0", 2, "top_p=0 must be above 0"),
        ("/set temperature=null", 2, "temperature=null: temperature must have a value"),
        ("/set temprature=1", 2, "/set does not change temprature. Did you mean temperature?"),
        ("/set checkpoint=x", 2, "/set does not change checkpoint."),
        ("/set seed", 2, "write /set seed=<value>"),
        ("/set stop=[", 2, "/set stop=[: the value cannot be read"),
        ("/set stop=['']", 2, "stop holds an empty text"),
        ("/rety", 1, "there is no command /rety. Did you mean /retry?"),
        ("/", 1, "there is no command /."),
        ("/undo", 1, "nothing has been said yet"),
        ("/retry", 1, "there is no message to answer"),
        ("/save", 1, "/save: write /save and the name of a .jsonl file"),
        ("/save x.jsonl", 1, "nothing has been said yet"),
        ("/load nowhere.jsonl", 1, "nowhere.jsonl cannot be read"),
        ("/load talk.txt", 1, "/load talk.txt: write /load and the name of a .jsonl file"),
        ("/load talk.jsonl 3", 1, "talk.jsonl: there is no conversation in line 3; the last one is in line 2"),
        ("/load talk.jsonl", 1, "talk.jsonl:2: there is no field messages"),
        ("/load talk.jsonl 1", 1, "turn 1 has the unknown role robot"),
        ("long " * 60, 1, "the message has 3"),
        (b"gr\xfcn", 1, "not UTF-8 text at byte 2"),
    ],
)
def test_invalid_lines_are_named(chat: Chat, in_folder: Path, line: str | bytes, status: int, message: str) -> None:
    (in_folder / "talk.jsonl").write_text('{"messages": [{"role": "robot", "content": "a"}]}\n{"text": "b"}\n')
    content = line.encode() if isinstance(line, str) else line
    outcome = chat(b"\n" + content + b"\nnot read\n")
    assert (outcome.status, outcome.out) == (status, "")
    assert outcome.error_line.startswith("gptkit: standard input:2: ")
    assert message in outcome.error_line


def test_the_oldest_messages_are_dropped_and_it_is_said_once(chat: Chat) -> None:
    message = "Please tell me more about it.\n"
    outcome = chat(message * 6 + "/reset\n" + message, "format=json", "max_new_tokens=16")
    answers = [json.loads(line) for line in outcome.out.splitlines()]
    lengths = [len(answer["messages"]) for answer in answers]
    assert lengths == [1, 3, 3, 3, 3, 3, 1]
    assert outcome.err.count("the context of 256 tokens is full") == 1


def test_a_model_without_a_chat_template_continues_each_message(
    chat: Chat, gptkit_command: GptkitCommand, untrained_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = untrained_run(tmp_path / "base", model=MODEL, attention=DenseAttentionConfig(), change=spread)
    outcome = chat("The film\nThe actor\n", checkpoint=run)
    assert "chat_template=plain (the model has none) holds one exchange" in outcome.err
    words = ("generate", f"checkpoint={run}", "max_new_tokens=8", "precision=fp32")
    texts = [gptkit_command(*words, f"prompt={prompt}").out.removeprefix(prompt) for prompt in ("The film", "The actor")]
    assert outcome.out == "".join(texts)
    assert "holds one exchange" not in chat("a\n", "chat_template=chatml", checkpoint=run).err


def test_settings_that_do_not_fit_are_refused(chat: Chat, in_folder: Path) -> None:
    assert chat("a\n", "stop=['']").status == 2
    refusal = "{{ raise_exception('no system') if messages[0].role == 'system' }}"
    (in_folder / "mine.jinja").write_text(refusal + "{% for turn in messages %}{{ turn.content + eos_token }}{% endfor %}")
    refused = chat("a\n", "chat_template=jinja", "chat_template.path=mine.jinja", "system=b")
    assert refused.status == 2
    assert refused.error_line.startswith("gptkit: system: ")
    assert chat("a\n", checkpoint=in_folder / "nowhere").status == 1
