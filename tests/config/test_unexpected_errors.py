"""An unexpected exception is one line that names the plugin at fault; its traceback is written to the run folder."""

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
        "Third-party attention."
        name: str = "mine"

        def __post_init__(self):
            {post_init}

        def build(self, **sizes):
            {build}

    @hookimpl
    def gptkit_attention():
        {hook}
        return [Mine]
"""
TINY = ["data=text", "data.path=x.txt", "tokenizer=bytes", "+shrink=tiny", "trainer=cpu", "hydra.run.dir=run", "attention=mine"]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            "raise ZeroDivisionError('by zero\\\\nand more')",
            "unexpected ZeroDivisionError in the plugin foo of gptkit-foo: by zero",
        ),
        ("raise ValueError('seven')", "unexpected ValueError in the plugin foo of gptkit-foo: seven"),
        ("sys.exit()", "unexpected SystemExit in the plugin foo of gptkit-foo: it exited the process with None"),
        ("sys.exit('bye')", "it exited the process with 'bye'"),
        ("self.build(**sizes)", "unexpected RecursionError in the plugin foo of gptkit-foo: maximum recursion depth exceeded"),
        ("raise MemoryError", "unexpected MemoryError in the plugin foo of gptkit-foo; "),
        ("raise Odd", "unexpected Odd in the plugin foo of gptkit-foo; "),
        ("raise BaseException('base')", "unexpected BaseException in the plugin foo of gptkit-foo: base"),
        ("return [] + 3", "unexpected TypeError in the plugin foo of gptkit-foo: "),
        ("raise RuntimeError(chr(27) + '[2J' + 'x' * 5000)", "RuntimeError in the plugin foo of gptkit-foo: \\u001b[2Jxxx"),
    ],
)
def test_an_exception_of_a_plugin_is_one_line_and_a_traceback_file(
    build: str, message: str, install_plugin: Callable[..., None], gptkit_command: GptkitCommand, in_folder: Path
) -> None:
    install_plugin("foo", PLUGIN.format(build=build, post_init="pass", hook="pass"))
    Path("x.txt").write_text("To be, or not to be, that is the question. " * 50)
    outcome = gptkit_command("train", *TINY)
    assert outcome.status == 1
    assert message in outcome.error_line
    assert outcome.error_line.endswith("; run/traceback.txt shows where")
    assert len(outcome.error_line) < 600
    assert "in build" in Path("run/traceback.txt").read_text()


def test_a_run_continues_in_its_folder_after_its_plugin_was_fixed(
    install_plugin: Callable[..., None], gptkit_command: GptkitCommand, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = PLUGIN.format(
        build="from pathlib import Path; return DenseAttentionConfig().build(**sizes) if Path('fixed').exists() else 1 / 0",
        post_init="pass",
        hook="pass",
    )
    install_plugin("foo", source)
    Path("x.txt").write_text("To be, or not to be, that is the question. " * 50)
    assert gptkit_command("train", *TINY).status == 1
    Path("fixed").touch()
    outcome = gptkit_command("train", *TINY)
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize(
    ("post_init", "hook", "status", "message"),
    [
        ("1 / 0", "pass", 1, "unexpected ZeroDivisionError in the plugin foo of gptkit-foo: division by zero; HYDRA_FULL_ERROR=1"),
        ("sys.exit(0)", "pass", 1, "unexpected SystemExit in the plugin foo of gptkit-foo"),
        ("pass", "sys.exit(0)", 2, "foo of gptkit-foo failed to load: gptkit_attention() failed: SystemExit: 0"),
        ("pass", "1 / 0", 2, "foo of gptkit-foo failed to load: gptkit_attention() failed: ZeroDivisionError: division by zero"),
    ],
)
def test_an_exception_before_the_run_starts_is_one_line(
    post_init: str,
    hook: str,
    status: int,
    message: str,
    install_plugin: Callable[..., None],
    gptkit_command: GptkitCommand,
    in_folder: Path,
) -> None:
    install_plugin("foo", PLUGIN.format(build="pass", post_init=post_init, hook=hook))
    outcome = gptkit_command("plan", "attention=mine")
    assert outcome.status == status
    assert message in outcome.error_line


def test_a_keyboard_interrupt_has_status_130(
    install_plugin: Callable[..., None], gptkit_command: GptkitCommand, in_folder: Path
) -> None:
    install_plugin("foo", PLUGIN.format(build="raise KeyboardInterrupt", post_init="pass", hook="pass"))
    outcome = gptkit_command("plan", "attention=mine")
    assert (outcome.status, outcome.error_line) == (130, "gptkit: interrupted")


def test_an_environment_variable_shows_the_traceback(
    install_plugin: Callable[..., None],
    gptkit_command: GptkitCommand,
    in_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    install_plugin("foo", PLUGIN.format(build="1 / 0", post_init="pass", hook="pass"))
    outcome = gptkit_command("plan", "attention=mine")
    assert outcome.status == 1
    assert "Traceback" in outcome.err
