"""Control characters are escaped in all output to a terminal; results in a pipe are exact."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import sys
from collections.abc import Iterator

import pytest

from gptkit.terminal import PrintableFormatter, make_console, one_line, print_text, printable, write_result
from tests.command_line import GptkitCommand

UNSAFE = "\x1b[2J\x1b]8;;http://x\x07here\x1b]8;;\x07\x9b31m\rover\x00\x7f\u202eright\u2066\u2028\udcff\U000e0041"
ESCAPED = (
    "\\u001b[2J\\u001b]8;;http://x\\u0007here\\u001b]8;;\\u0007\\u009b31m\\u000dover\\u0000\\u007f\\u202eright\\u2066\\u2028\\udcff"
    "\\U000e0041"
)


def test_control_characters_are_escaped() -> None:
    assert printable(UNSAFE) == ESCAPED
    assert printable("a\tb\r\nc\nélan 你好 \U0001f600") == "a\tb\nc\nélan 你好 \U0001f600"
    assert one_line("a\nb\x1b") == "a\\nb\\u001b"


class Terminal:
    """A pseudo-terminal that replaces standard output."""

    def __init__(self) -> None:
        self._read, written = pty.openpty()
        self.stream = os.fdopen(written, "w", encoding="utf-8")

    def text(self) -> str:
        end = "<end>"
        self.stream.write(end)
        self.stream.flush()
        text = ""
        while not text.endswith(end):  # a read may return only a part
            text += os.read(self._read, 100_000).decode()
        return text.removesuffix(end)

    def close(self) -> None:
        self.stream.close()
        os.close(self._read)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def test_results_on_a_terminal_are_escaped(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal.stream)  # not in a fixture, because pytest replaces stdout for each phase of a test
    write_result(UNSAFE + "\n")
    print_text(UNSAFE)
    assert terminal.text() == f"{ESCAPED}\r\n{ESCAPED}\r\n"


def test_json_on_a_terminal_has_the_same_value(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal.stream)  # not in a fixture, because pytest replaces stdout for each phase of a test
    text = UNSAFE.replace("\U000e0041", "")
    write_result(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    assert json.loads(terminal.text()) == {"text": text}


def test_a_table_keeps_its_own_colours_and_escapes_its_text(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal.stream)  # not in a fixture, because pytest replaces stdout for each phase of a test
    make_console(width=400, force_terminal=True, color_system="standard").print("[bold]title[/bold] " + UNSAFE, highlight=False)
    printed = terminal.text()
    assert "\x1b[1mtitle\x1b[0m" in printed
    assert "\x1b[2J" not in printed
    assert "\x1b]8" not in printed
    assert "\u202e" not in printed


def test_results_in_a_pipe_are_exact(capsys: pytest.CaptureFixture[str]) -> None:
    text = UNSAFE.replace("\udcff", "")
    write_result(text)
    assert capsys.readouterr().out == text


def test_log_lines_are_escaped() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PrintableFormatter())
    log = logging.getLogger("gptkit.of_this_test")
    log.propagate = False
    log.addHandler(handler)
    log.warning("%s", UNSAFE)
    assert stream.getvalue() == ESCAPED + "\n"


@pytest.mark.parametrize(
    "words",
    [
        ["generate", f"checkpoint={UNSAFE}"],
        ["train", f"{UNSAFE}=1"],
        [UNSAFE],
        ["train", f"attention={UNSAFE}"],
        ["train", "data=text", f"data.path={UNSAFE}", "tokenizer=bytes"],
        ["generate", "checkpoint=x", "prompts=\udcff"],
        ["train", "--help", f"model={UNSAFE}"],
    ],
)
def test_error_messages_are_escaped(words: list[str], gptkit_command: GptkitCommand, in_folder: object) -> None:
    if "\x00" in "".join(words):  # a command line cannot contain NUL
        words = [word.replace("\x00", "") for word in words]
    outcome = gptkit_command(*words)
    assert outcome.status in (1, 2)
    assert printable(outcome.error_line) == outcome.error_line
    assert "unexpected" not in outcome.error_line
