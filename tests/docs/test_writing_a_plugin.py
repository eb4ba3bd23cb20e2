"""All commands of docs/writing-a-plugin.md are run in order, and print the output that the page shows.

`gptkit` and `python -c` run in this process, and `pip install -e .` is done as pip would leave it. The tests, the wheel and its
installation are real processes.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import GptkitCommand

PAGE = Path(__file__).resolve().parents[2] / "docs" / "writing-a-plugin.md"


@dataclass
class Step:
    """A file to write, or a command with its output."""

    file: str = ""
    command: str = ""
    text: str = ""


def steps(page: str) -> list[Step]:
    """Return the files (blocks after a line that contains only a file name) and commands (`console` blocks), in order."""
    result = []
    for file, language, body in re.findall(r"(?:^`(\S+)`:\n\n)?^```(\w+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        if file:
            result.append(Step(file=file, text=body))
        elif language == "console":
            for command, printed in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", body, re.MULTILINE):
                result.append(Step(command=command, text=printed))
    return result


class Session:
    """Runs the commands of the page in a separate folder."""

    def __init__(self, folder: Path, site: Any, gptkit_command: GptkitCommand) -> None:
        self.folder = folder
        self.site = site
        self.gptkit_command = gptkit_command

    def run(self, command: str) -> str:
        """Run a command, and return its output including errors."""
        program, *words = shlex.split(command)
        if program == "GPTKIT_PLUGINS=":
            with self.site.without_plugins():
                return self.run(shlex.join(words))
        if program == "gptkit":
            outcome = self.gptkit_command(*words)
            return str(outcome.out + outcome.err)
        if (program, *words) == ("pip", "install", "-q", "-e", "."):
            self.install_editable()
            return ""
        if program == "pip":
            return self.install_wheel(*words)
        if words[0] == "-c":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(words[1], {})
            return printed.getvalue()
        return self.process(sys.executable, *words, *(["--no-isolation"] if "build" in words else ["-p", "no:cacheprovider"]))

    def process(self, *words: str) -> str:
        variables = {**os.environ, "PYTHONPATH": f"{self.folder}{os.pathsep}{self.site.folder}"}
        done = subprocess.run(words, cwd=self.folder, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install_editable(self) -> None:
        project = tomllib.loads((self.folder / "pyproject.toml").read_text())["project"]
        ((name, module),) = project["entry-points"]["gptkit"].items()
        assert name == project["name"]
        self.site.install(name, {}, entry_point=module, version=project["version"])

    def install_wheel(self, *words: str) -> str:
        """Install the wheel into a new folder, without the project's own folder on the path."""
        target = self.folder.parent / "installed"
        printed = self.process(
            sys.executable, "-m", "pip", *words, "--target", str(target), "--no-deps", "--no-index", "--no-build-isolation"
        )
        self.site.move(target, without=self.folder)
        assert __import__("gptkit_halving").__file__ == str(target / "gptkit_halving" / "__init__.py")
        return printed


def normal(text: str, folder: Path) -> list[str]:
    """Return the lines without details that differ between machines: folders, versions of tools, durations and speeds."""
    text = text.replace(str(folder), "/home/you/gptkit-halving")
    text = re.sub(r"\b\d+(\.\d+)? ?s\b( in all)?", "TIME", text)
    text = re.sub(r"[\d,]+ tokens/s", "SPEED", text)
    text = re.sub(r"(loss|val) \d+\.\d+", r"\1 LOSS", text)
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.process
def test_the_page_does_what_it_says(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gptkit_command: GptkitCommand
) -> None:
    folder = tmp_path / "gptkit-halving"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    session = Session(folder, site, gptkit_command)
    for step in steps(PAGE.read_text()):
        if step.file:
            (folder / step.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / step.file).write_text(step.text)
            site.forget()
            continue
        expected, printed = normal(step.text, folder), normal(session.run(step.command), folder)
        at = 0
        for line in expected:
            if line == "...":  # lines that the page omits
                at = len(printed) - (len(expected) - expected.index("...") - 1)
                continue
            assert printed[at : at + 1] == [line], f"$ {step.command}\nprints\n" + "\n".join(printed)
            at += 1
        assert at == len(printed), f"$ {step.command}\nprints\n" + "\n".join(printed)


def test_a_third_party_attention_fits_on_one_screen() -> None:
    """The first version of the class and its pyproject.toml have at most 60 lines together."""
    files: dict[str, str] = {}
    for step in steps(PAGE.read_text()):
        files.setdefault(step.file, step.text)
    assert len((files["gptkit_halving/__init__.py"] + files["pyproject.toml"]).splitlines()) <= 60
