"""Shell completion: which words are offered, and that bash and zsh offer them after the documented `eval` line."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command_line import GptkitCommand

INSTALL = 'eval "$(gptkit -sc install)"'


@pytest.fixture
def offered(gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Returns the words that the shell offers when TAB is pressed at the end of a line."""

    def offered(line: str) -> list[str]:
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        outcome = gptkit_command("-sc", "query=bash")
        assert (outcome.status, outcome.err) == (0, "")
        return outcome.out.splitlines()

    return offered


def test_folders_for_a_verb_that_takes_plain_words(
    offered: Callable[[str], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("runs/first", "runs/second", "other"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert offered("gptkit report ru") == ["runs/", "runs="]
    assert offered("gptkit report runs/") == ["runs/first/", "runs/second/"]
    assert offered("gptkit report runs/first t") == ["to="]


def test_verbs_are_completed(offered: Callable[[str], list[str]]) -> None:
    assert offered("gptkit tra") == ["train"]
    assert {"train", "generate", "plan", "export", "plugins"} <= set(offered("gptkit "))
    assert offered("gptkit trian ") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gptkit train attention=", ["attention=alternating", "attention=banded", "attention=dense"]),
        ("gptkit train attention=b", ["attention=banded"]),
        ("gptkit train model.la", ["model.layers="]),
        ("gptkit train seed=3 attention=banded attention.w", ["attention.window="]),
        ("gptkit train optimizer=mu", ["optimizer=muon"]),
        ("gptkit train +shrink=tiny +gpt2=355", ["+gpt2=355m"]),
        ("gptkit generate max_", ["max_new_tokens="]),
        ("gptkit train -m attention=dense,ba", ["attention=dense,banded"]),
        ("gptkit train +callb", ["+callback@callback."]),
        ("gptkit train +logg", ["+logger@logger."]),
        ("gptkit train logger=c", ["logger=csv"]),
        ("gptkit train +callback@callback.stop=ear", ["+callback@callback.stop=early_stopping"]),
        ("gptkit train --cf", ["--cfg"]),
        (
            "gptkit train optimizer.schedule.shape=",
            [f"optimizer.schedule.shape={shape}" for shape in ("cosine", "linear", "constant")],
        ),
        ("gptkit train batch.micro=a", ["batch.micro=auto"]),
        ("gptkit train objective.value_from=p", ["objective.value_from=policy"]),
        ("gptkit generate format=", ["format=text", "format=json"]),
        ("gptkit train data.path=", []),  # no words: the shell then lists files
        ("gptkit generate checkpoint=", []),
        ("gptkit generate prompt='hello world' tempe", ["temperature="]),
        ('gptkit generate prompt="Don\'t, friend" tempe', ["temperature="]),
        ("gptkit generate prompt='hello tempe", []),
    ],
)
def test_keys_and_options_are_completed(line: str, expected: list[str], offered: Callable[[str], list[str]]) -> None:
    assert offered(line) == expected


def test_papers_are_completed(offered: Callable[[str], list[str]]) -> None:
    assert set(offered("gptkit train +gpt2=")) >= {"+gpt2=124m", "+gpt2=355m", "+gpt2=774m", "+gpt2=1558m"}
    assert {"+gpt2=", "+gpt3="} <= set(offered("gptkit train +gp"))


def test_only_accepted_words_are_offered(offered: Callable[[str], list[str]]) -> None:
    words = offered("gptkit train ")
    assert {"model=", "model.", "attention=", "data=", "seed=", "batch.", "trainer="} <= set(words)
    assert not [word for word in words if word.startswith(("base", "command", "gpt2", "shrink"))]  # papers require a +
    assert set(offered("gptkit train +")) >= {"+gpt2=", "+shrink="}
    assert not {"+attention=", "+base=", "+command="} & set(offered("gptkit train +"))
    assert offered("gptkit train attention=banded attention.") == ["attention.window="]
    assert {word.partition("=")[0] for word in offered("gptkit plugins ")} == {"kind", "name", "format", "hydra.", "hydra/"}


def test_the_cursor_may_be_inside_the_line(gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", "gptkit train attention=b seed=3")
    monkeypatch.setenv("COMP_POINT", str(len("gptkit train attention=b")))
    assert gptkit_command("-sc", "query=bash").out.splitlines() == ["attention=banded"]


def test_an_unsupported_shell_is_an_error(gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("-sc", "install=fish")
    assert outcome.status == 2
    assert INSTALL in outcome.error_line


class Terminal:
    """A shell on a pseudo-terminal that is wide enough for a whole line."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 200))
        self.process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True, close_fds=True
        )
        os.close(slave)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read_until(self, pattern: str, seconds: float = 60.0) -> str:
        """Reads until the output since the last call matches the pattern, and returns that output."""
        output, deadline = "", time.monotonic() + seconds
        while not re.search(pattern, output, re.DOTALL):
            assert time.monotonic() < deadline, f"waited for {pattern!r}, saw {output!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                output += os.read(self.master, 65536).decode(errors="replace")
        return output

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "bind 'set show-all-if-ambiguous on'; bind 'set enable-bracketed-paste off'"),
    "zsh": (["zsh", "-f", "-i"], "unsetopt ZLE_BRACKETED_PASTE; setopt NO_BEEP"),
}


@pytest.fixture(params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    """Starts an interactive shell with completion installed by the documented line, and with an installed plugin."""
    words, prepare = SHELLS[request.param]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    program = tmp_path / "bin" / "gptkit"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m gptkit "$@"\n')
    program.chmod(0o755)
    _plugin(tmp_path / "site")
    variables = {name: value for name, value in os.environ.items() if name != "GPTKIT_PLUGINS"}
    monkeypatch.chdir(tmp_path)
    shell = Terminal(
        words,
        {
            **variables,
            "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(tmp_path / "site"),
            "GPTKIT_PLUGINS": "gptkit-somebody",
            "HOME": str(tmp_path),
            "PS1": "ready> ",
            "TERM": "dumb",
            "INPUTRC": "/dev/null",
        },
    )
    shell.type(f"{prepare}; {INSTALL}; echo installed $?\n")
    shell.read_until(r"installed 0\s.*ready> ")
    yield shell
    shell.close()


def _plugin(site: Path) -> None:
    info = site / "gptkit_somebody-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gptkit-somebody\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gptkit]\ngptkit-somebody = gptkit_somebody\n")
    (site / "gptkit_somebody.py").write_text(
        "from dataclasses import dataclass\n"
        "from gptkit import hookimpl\n"
        "from gptkit.attention import AttentionConfig\n"
        "@dataclass\n"
        "class Somebody(AttentionConfig):\n"
        "    name: str = 'somebody'\n"
        "    reach: int = 3\n"
        "@hookimpl\n"
        "def gptkit_attention():\n"
        "    return [Somebody]\n"
    )


@pytest.mark.process
def test_a_real_shell_completes(terminal: Terminal) -> None:
    terminal.type("gptkit tra\t")
    terminal.read_until(r"gptkit train ")
    terminal.type("attention=\t")
    offered = terminal.read_until(r"(?=.*alternating)(?=.*banded)(?=.*dense)(?=.*somebody)")
    assert "model" not in offered.partition("\n")[2]
    terminal.type("som\t")  # a plugin's part; a complete word is followed by a space
    terminal.read_until("ebody ")
    terminal.type("attention.re\t")  # its key; an incomplete word is not followed by a space
    terminal.read_until("ach=")
    terminal.type("4 model.la\t")
    terminal.read_until("yers=")
    terminal.type("2 +gpt2=12\t")
    terminal.read_until("4m ")
    terminal.type("init_from=\t")  # the key is complete, so the shell offers files
    terminal.read_until(r"(?=.*bin)(?=.*site)")
    terminal.type("si\t")
    terminal.read_until("te/")
    terminal.type("\x01echo \x05\n")  # puts echo before the line, so that the line is printed
    printed = terminal.read_until(r"\n.*somebody.*ready> ")
    assert "gptkit train attention=somebody attention.reach=4 model.layers=2 +gpt2=124m init_from=site" in printed.replace("\r", "")
