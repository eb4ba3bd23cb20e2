"""What nobody foresaw is one line that names the plugin it came from; a run's folder holds the traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command_line import GptkitCommand

PLUGIN = """
    import sys
    from dataclasses import dataclass
    from gptkit import hookimpl
    from gptkit.attention import AttentionConfig, DenseAttentionConfig

    class Odd(Exception):
        def __str__(self):
            raise ValueError("no text")

    @dataclass
    class Mine(AttentionConfig):
        "Attention of a third party."
        name: str = "mine"

        def __post_init__(self):
            {checked}

        def build(self, **sizes):
            {built}

    @hookimpl
    def gptkit_attention():
        {offered}
        return [Mine]
"""
TINY = ["data=text", "data.path=x.txt", "tokenizer=bytes", "+shrink=tiny", "trainer=cpu", "hydra.run.dir=run", "attention=mine"]


@pytest.mark.parametrize(
    ("built", "said"),
    [
        (
            "raise ZeroDivisionError('by zero\\\\nand more')",
            "unexpected ZeroDivisionError in the plugin foo of gptkit-foo: by zero",
        ),
        ("raise ValueError('seven')", "unexpected ValueError in the plugin foo of gptkit-foo: seven"),
        ("sys.exit()", "unexpected SystemExit in the plugin foo of gptkit-foo: it ended the process with None"),
        ("sys.exit('bye')", "it ended the process with 'bye'"),
        ("self.build(**sizes)", "unexpected RecursionError in the plugin foo of gptkit-foo: maximum recursion depth exceeded"),
        ("raise MemoryError", "unexpected MemoryError in the plugin foo of gptkit-foo; "),
        ("raise Odd", "unexpected Odd in the plugin foo of gptkit-foo; "),
        ("raise BaseException('base')", "unexpected BaseException in the plugin foo of gptkit-foo: base"),
        ("return [] + 3", "unexpected TypeError in the plugin foo of gptkit-foo: "),
        ("raise RuntimeError(chr(27) + '[2J' + 'x' * 5000)", "RuntimeError in the plugin foo of gptkit-foo: \\u001b[2Jxxx"),
    ],
)
def test_an_exception_of_a_plugin(
    built: str, said: str, install_plugin: Callable[..., None], gptkit_command: GptkitCommand, in_folder: Path
) -> None:
    install_plugin("foo", PLUGIN.format(built=built, checked="pass", offered="pass"))
    Path("x.txt").write_text("To be, or not to be, that is the question. " * 50)
    outcome = gptkit_command("train", *TINY)
    assert outcome.status == 1
    assert said in outcome.error_line
    assert outcome.error_line.endswith("; run/traceback.txt shows where")
    assert len(outcome.error_line) < 600
    assert "in build" in Path("run/traceback.txt").read_text()


def test_a_run_whose_plugin_was_fixed_goes_on_in_its_folder(
    install_plugin: Callable[..., None], gptkit_command: GptkitCommand, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = PLUGIN.format(
        built="from pathlib import Path; return DenseAttentionConfig().build(**sizes) if Path('fixed').exists() else 1 / 0",
        checked="pass",
        offered="pass",
    )
    install_plugin("foo", fixed)
    Path("x.txt").write_text("To be, or not to be, that is the question. " * 50)
    assert gptkit_command("train", *TINY).status == 1
    Path("fixed").touch()
    outcome = gptkit_command("train", *TINY)
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize(
    ("checked", "offered", "status", "said"),
    [
        ("1 / 0", "pass", 1, "unexpected ZeroDivisionError in the plugin foo of gptkit-foo: division by zero; HYDRA_FULL_ERROR=1"),
        ("sys.exit(0)", "pass", 1, "unexpected SystemExit in the plugin foo of gptkit-foo"),
        ("pass", "sys.exit(0)", 2, "foo of gptkit-foo failed to load: gptkit_attention() failed: SystemExit: 0"),
        ("pass", "1 / 0", 2, "foo of gptkit-foo failed to load: gptkit_attention() failed: ZeroDivisionError: division by zero"),
    ],
)
def test_an_exception_before_anything_runs(
    checked: str,
    offered: str,
    status: int,
    said: str,
    install_plugin: Callable[..., None],
    gptkit_command: GptkitCommand,
    in_folder: Path,
) -> None:
    install_plugin("foo", PLUGIN.format(built="pass", checked=checked, offered=offered))
    outcome = gptkit_command("plan", "attention=mine")
    assert outcome.status == status
    assert said in outcome.error_line


def test_an_interrupt_of_the_keyboard_keeps_its_status(
    install_plugin: Callable[..., None], gptkit_command: GptkitCommand, in_folder: Path
) -> None:
    install_plugin("foo", PLUGIN.format(built="raise KeyboardInterrupt", checked="pass", offered="pass"))
    outcome = gptkit_command("plan", "attention=mine")
    assert (outcome.status, outcome.error_line) == (130, "gptkit: interrupted")


def test_the_whole_traceback_where_it_is_asked_for(
    install_plugin: Callable[..., None],
    gptkit_command: GptkitCommand,
    in_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    install_plugin("foo", PLUGIN.format(built="1 / 0", checked="pass", offered="pass"))
    outcome = gptkit_command("plan", "attention=mine")
    assert outcome.status == 1
    assert "Traceback" in outcome.err
