from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import gptkit
from gptkit.attention import BandedAttentionConfig, DenseAttentionConfig
from gptkit.command import ExportCommand
from gptkit.errors import CheckpointError, ConfigError, DataError
from gptkit.model import GPTConfig

SMALL = GPTConfig(layers=1, heads=2, width=8, context=16)


@pytest.mark.parametrize("there_is", ["nothing", "an empty folder"])
def test_exported_files_are_listed_and_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there_is: Any, untrained_run: Callable[..., Path]
) -> None:
    run = untrained_run(tmp_path / "run", model=SMALL, attention=DenseAttentionConfig())
    target = tmp_path / "out" / "hf"
    if there_is == "an empty folder":
        target.mkdir(parents=True)
    ExportCommand(checkpoint=str(run), to=str(target)).execute(tmp_path)
    out = capsys.readouterr().out
    assert str(target) in out
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        assert name in out
    assert [path.name for path in target.parent.iterdir()] == ["hf"]
    ours, tokenizer = gptkit.load(str(run))
    theirs, other = gptkit.load(f"hf:{target}")
    assert other.fingerprint == tokenizer.fingerprint
    assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_export_into_a_non_empty_folder_is_rejected(tmp_path: Path, untrained_run: Callable[..., Path]) -> None:
    run = untrained_run(tmp_path / "run", model=SMALL, attention=DenseAttentionConfig())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    for target in (tmp_path / "out", tmp_path / "out" / "mine.txt"):
        with pytest.raises(ConfigError, match="already exists and is not empty"):
            ExportCommand(checkpoint=str(run), to=str(target)).execute(tmp_path)
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("target", ["file/x", "/proc/nowhere/x"])
def test_unwritable_target_is_named(tmp_path: Path, untrained_run: Callable[..., Path], target: str) -> None:
    run = untrained_run(tmp_path / "run", model=SMALL, attention=DenseAttentionConfig())
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match=f"to=.*{target}: cannot be written"):
        ExportCommand(checkpoint=str(run), to=str(tmp_path / target)).execute(tmp_path)
    assert (tmp_path / "file").read_text() == "mine"


def test_inexpressible_model_writes_no_files(tmp_path: Path, untrained_run: Callable[..., Path]) -> None:
    run = untrained_run(tmp_path / "run", model=SMALL, attention=BandedAttentionConfig(window=4))
    with pytest.raises(ConfigError, match="layer 0 has BandedAttention; train with attention=dense"):
        ExportCommand(checkpoint=str(run), to=str(tmp_path / "out")).execute(tmp_path)
    with pytest.raises(CheckpointError):
        ExportCommand(checkpoint=str(tmp_path / "nowhere"), to=str(tmp_path / "out")).execute(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
