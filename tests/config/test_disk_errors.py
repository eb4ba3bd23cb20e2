"""A full disk and a missing permission are errors of one line, wherever they occur."""

import os
import resource
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gptkit.config.main import main
from tests.command_line import GptkitCommand

WORDS = ["data=text", "tokenizer=char", "model.layers=1", "model.heads=2", "model.width=16", "model.context=8", "batch.size=4"]
WORDS += ["trainer.max_steps=2", "trainer.accelerator=cpu", "val.every=0", "samples.prompts=[]"]


@pytest.fixture
def words(in_folder: Path) -> list[str]:
    (in_folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 20)
    return [*WORDS, "data.path=text.txt"]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Simulates a full disk: no file of this process can grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGXFSZ, handler)
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 700, 3000])
def test_a_full_disk_at_the_start_of_a_run_is_one_line(gptkit_command: GptkitCommand, words: list[str], size: int) -> None:
    """The size determines which file does not fit: the configuration, TensorBoard's, the metrics, or the checkpoint."""
    gptkit_command("train", *words, "hydra.run.dir=other")  # caches the token shards, so that other files are the first to fail
    with files_of_at_most(size):
        outcome = gptkit_command("train", *words, "hydra.run.dir=run")
    assert outcome.status == 1
    lines = [line for line in outcome.err.splitlines() if line.startswith("gptkit: ")]
    assert len(lines) == 1
    assert "disk is full" in lines[0]
    assert "Traceback" not in outcome.err
    again = gptkit_command("train", *words, "hydra.run.dir=run")
    assert again.status == 0


def test_a_full_disk_during_an_export_is_one_line(gptkit_command: GptkitCommand, words: list[str], in_folder: Path) -> None:
    gptkit_command("train", *words, "hydra.run.dir=run")
    export_words = ("export", "checkpoint=run", "to=hf")
    with files_of_at_most(700):
        outcome = gptkit_command(*export_words)
    assert (outcome.status, len(outcome.err.splitlines())) == (1, 1)
    assert "to=hf: " in outcome.error_line
    assert sorted(path.name for path in in_folder.iterdir()) == ["run", "text.txt"]
    outcome = gptkit_command(*export_words)
    assert len({stat.S_IMODE(path.stat().st_mode) for path in (in_folder / "hf").iterdir()}) == 1


@pytest.mark.parametrize("words", [["plugins"], ["--help"], ["--version"]], ids=lambda words: words[0])
def test_an_error_about_standard_output_is_one_line(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gptkit", *words])
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as exit_info:
            main()
    assert exit_info.value.code == 1
    assert capsys.readouterr().err == "gptkit: standard output: cannot be written (No space left on device)\n"


@pytest.mark.parametrize("path", ["text.txt", "text.txt/below"])
def test_a_file_in_place_of_a_folder_is_one_line(gptkit_command: GptkitCommand, words: list[str], path: str) -> None:
    for outcome in (
        gptkit_command("train", *words, f"hydra.run.dir={path}"),
        gptkit_command("generate", f"checkpoint={path}"),
        gptkit_command("train", *words, f"init_from={path}", "hydra.run.dir=run"),
    ):
        assert outcome.status in (1, 2)
        assert path.partition("/")[0] in outcome.error_line


@pytest.mark.skipif(os.getuid() == 0, reason="root ignores permissions")
@pytest.mark.parametrize("name", ["run", "run/checkpoints", "run/checkpoints/step-00000002", "run/metrics.csv"])
@pytest.mark.parametrize("mode", [0o000, 0o500])
def test_missing_permissions_give_no_traceback(gptkit_command: GptkitCommand, words: list[str], name: str, mode: int) -> None:
    gptkit_command("train", *words, "hydra.run.dir=run")
    path = Path(name)
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        for outcome in (
            gptkit_command("train", *words, "trainer.max_steps=3", "hydra.run.dir=run"),
            gptkit_command("generate", "checkpoint=run", "max_new_tokens=2"),
        ):
            assert "Traceback" not in outcome.err
    finally:
        path.chmod(before)
