"""Tied weights are stored once, and equal weights give equal files."""

from __future__ import annotations

from pathlib import Path

import torch

from gptkit.training.checkpoints.serialization import read_tensors, write_tensors


def test_tied_weights_are_stored_once(tmp_path: Path) -> None:
    weight = torch.randn(100, 100)
    tensors = {"embedding": weight, "head": weight, "row": weight[3], "transposed": weight.T, "empty": torch.empty(0)}
    write_tensors(tmp_path / "t.safetensors", tensors)
    assert (tmp_path / "t.safetensors").stat().st_size < 2.2 * weight.nbytes
    back = read_tensors(tmp_path / "t.safetensors")
    for name, tensor in tensors.items():
        assert torch.equal(back[name], tensor)
    assert back["embedding"].data_ptr() == back["head"].data_ptr()


def test_equal_weights_give_equal_files(tmp_path: Path) -> None:
    weight = torch.randn(10, 10)
    written = set()
    for number in range(20):
        write_tensors(tmp_path / f"{number}", {"a": weight, "b": weight.clone(), "c": weight} if number % 2 else {"a": weight})
        written.add((tmp_path / f"{number}").read_bytes())
    assert len(written) == 2
