"""`gptkit chat` in a terminal: keys, history, and the conversation that a user sees."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from gptkit.attention import DenseAttentionConfig
from gptkit.chat_template import ChatMLConfig
from gptkit.command.chat_terminal import Terminal
from gptkit.model import GPTConfig
from tests.command.pseudo_terminal import pseudo_terminal
from tests.command.test_chat import spread
from tests.command_line import GptkitCommand

UP, ALT_ENTER, CTRL_C, CTRL_D = "\x1b[A", "\x1b\r", "\x03", "\x04"


@pytest.fixture
def keyboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PipeInput]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        yield keys


def typed(keyboard: PipeInput, keys: str, *, keeps_history: bool = True) -> list[str]:
    """The messages that a new session receives for these keys."""
    keyboard.send_text(keys + CTRL_D)
    return list(Terminal(keeps_history=keeps_history).messages())


def test_messages_may_have_several_lines(keyboard: PipeInput) -> None:
    pasted = "\x1b[200~one\ntwo\n\nthree\x1b[201~\r"
    assert typed(keyboard, f"first{ALT_ENTER}second\r{pasted}  \r/exit\r") == ["first\nsecond", "one\ntwo\n\nthree", "/exit"]


def test_control_c_discards_what_was_typed(keyboard: PipeInput) -> None:
    assert typed(keyboard, f"wrong{CTRL_C}right\r") == ["right"]


def test_tab_completes_commands_keys_and_files(keyboard: PipeInput, in_folder: Path) -> None:
    (in_folder / "talks.jsonl").touch()
    assert typed(keyboard, "/und\t\r/set temp\t0.5\r/load ta\t\ra\tb\r") == [
        "/undo",
        "/set temperature=0.5",
        "/load talks.jsonl",
        "ab",
    ]


def test_messages_are_remembered_in_the_next_session(keyboard: PipeInput, tmp_path: Path) -> None:
    assert typed(keyboard, "a secret\r", keeps_history=False) == ["a secret"]
    assert typed(keyboard, f"one\rtwo{ALT_ENTER}lines\r") == ["one", "two\nlines"]
    assert typed(keyboard, f"{UP}{UP}{UP}\r") == ["one"]
    file = tmp_path / "state" / "gptkit" / "chat_history"
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert "secret" not in file.read_text()


def test_a_history_that_cannot_be_written_does_not_matter(keyboard: PipeInput, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a folder")
    assert typed(keyboard, "one\r") == ["one"]


def test_the_first_interrupt_stops_the_answer_and_the_second_the_program(keyboard: PipeInput) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Terminal(keeps_history=False).interrupts() as is_interrupted:
        assert not is_interrupted()
        signal.raise_signal(signal.SIGINT)
        assert is_interrupted()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_without_prompt_toolkit_a_terminal_is_refused_in_one_line(
    gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prompt_toolkit", None)
    monkeypatch.delitem(sys.modules, "gptkit.command.chat_terminal")
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    refused = gptkit_command("chat", "checkpoint=runs/x")
    assert refused.status == 1
    assert "install it: pip install 'gptkit[chat]'" in refused.error_line


@pytest.mark.process
def test_a_conversation_in_a_terminal(untrained_run: Callable[..., Path], tmp_path: Path) -> None:
    model = GPTConfig(layers=1, heads=2, width=16, context=8192, tied=False)
    run = untrained_run(
        tmp_path / "run", model=model, attention=DenseAttentionConfig(), change=spread, chat_template=ChatMLConfig()
    )
    environment = {"XDG_STATE_HOME": str(tmp_path), "PROMPT_TOOLKIT_NO_CPR": "1", "TERM": "xterm"}
    words = (sys.executable, "-m", "gptkit", "chat", f"checkpoint={run}", "max_new_tokens=8", "top_k=20")
    with pseudo_terminal(words, environment) as terminal:
        printed = terminal.read_until("Ctrl-D ends the conversation\n\n>")
        assert f"gptkit: {run}, chat_template=chatml, context of 8,192 tokens" in printed
        terminal.type("Hello\r")
        terminal.read_until(r"gptkit: answers end at max_new_tokens=8; /set max_new_tokens=16 allows longer ones[\s\S]*\n>")
        terminal.type("/set temperature=hot\r")
        terminal.read_until(r"gptkit: temperature=hot must be a number[\s\S]*\n>")
        terminal.type("/set max_new_tokens=8000\r")
        terminal.read_until(r"gptkit: max_new_tokens=8000[\s\S]*\n>")
        terminal.type("Go on\r")
        terminal.read_until(r"Go on\n[\s\S]{100}")  # the answer has begun, and the terminal no longer waits for keys
        terminal.type(CTRL_C)
        terminal.read_until(r"gptkit: stopped[\s\S]*\n>")
        terminal.type(f"/save {tmp_path / 'talk.jsonl'}\r")
        terminal.read_until(r"gptkit: the conversation is line 1 of[\s\S]*\n>")
        terminal.type(CTRL_D)
        assert terminal.process.wait(60) == 0
    saved = json.loads((tmp_path / "talk.jsonl").read_text())["messages"]
    assert [saved[0]["content"], saved[2]["content"], len(saved)] == ["Hello", "Go on", 4]
    assert 0 < len(saved[3]["content"]) < 8000
    assert len(saved[1]["content"]) <= 8
