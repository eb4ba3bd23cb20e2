"""Invalid files with a matching manifest: one line names the file, and nothing is loaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gptkit.errors import CheckpointError
from gptkit.training.checkpoints.checkpoint import read_checkpoint
from gptkit.training.checkpoints.load import load
from tests.training.checkpoints.forged_checkpoints import folder_of, forge, put


def weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        save_file(change(tensors), folder / "model.safetensors")

    return alter


def header(content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / "model.safetensors").write_bytes(content)


def shared(text: str) -> Callable[[Path], Any]:
    """The entry of the file about tensors with two names."""

    def alter(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        save_file(tensors, folder / "model.safetensors", metadata={"same": text})

    return alter


def vocabulary(text: str) -> Callable[[Path], Any]:
    return lambda folder: [path.write_text(text) for path in (folder / "tokenizer").iterdir()]


FORGED: dict[str, Callable[[Path], Any]] = {
    "a tensor less": weights(lambda tensors: dict(list(tensors.items())[1:])),
    "a tensor more": weights(lambda tensors: {**tensors, "more": torch.zeros(2)}),
    "another shape": weights(lambda tensors: {name: tensor[..., :1].contiguous() for name, tensor in tensors.items()}),
    "whole numbers": weights(lambda tensors: {name: tensor.long() for name, tensor in tensors.items()}),
    "complex numbers": weights(lambda tensors: {name: tensor.to(torch.complex64) for name, tensor in tensors.items()}),
    "no header": header(b"\xff" * 64),
    "a header of exabytes": header(b"\xff" * 7 + b"\x7f{}"),
    "an empty file": header(b""),
    "half a header": header((8).to_bytes(8, "little") + b'{"a": {}'),
    "shared with nothing": shared('{"a": "b"}'),
    "shared by a list": shared("[[1]]"),
    "shared by no JSON": shared("{"),
    "no tokenizer": lambda folder: shutil.rmtree(folder / "tokenizer"),
    "tokenizer of no JSON": vocabulary("{"),
    "tokenizer of a list": vocabulary("[1]"),
    "tokenizer of a number": vocabulary("1"),
    "tokenizer too deep": vocabulary("[" * 99999),
}


@pytest.mark.parametrize("case", FORGED)
def test_wrong_file_with_matching_manifest_is_reported(run: Path, case: str) -> None:
    folder = folder_of(run, 2)
    FORGED[case](folder)
    forge(folder)
    with pytest.raises(CheckpointError) as caught:
        load(str(folder))
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


STATES = [[1, 2], torch.zeros(3), "text", 5, None]


@pytest.mark.parametrize("state", STATES, ids=str)
def test_state_of_another_type_is_rejected(run: Path, state: object) -> None:
    folder = folder_of(run, 3)
    torch.save(state, folder / "state.pt")
    forge(folder)
    with pytest.raises(CheckpointError, match=r"state\.pt: is not a state that gptkit wrote"):
        _ = read_checkpoint(folder).state


def altered(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return put(*keys, value=value)


def of_the_optimizer(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], None]:
    """Apply `change` to the entries of every parameter."""

    def change_all(state: dict[str, Any]) -> None:
        for entries in state["optimizer"]["state"].values():
            change(entries)

    return change_all


WRONG_STATES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "step of another": altered("step", value=1),
    "tokens a text": altered("tokens", value="many"),
    "val_metrics a list": altered("val_metrics", value=[1]),
    "callbacks a text": altered("callbacks", value="x"),
    "sources a list": altered("sources", value=["data"]),
    "weights a list": altered("weights", value=[1]),
    "optimizer a tensor": altered("optimizer", value=torch.zeros(2)),
    "optimizer without groups": altered("optimizer", "groups", value=None),
    "groups of numbers": altered("optimizer", "groups", value=[1]),
    "parameters of another": altered("optimizer", "groups", value=[{"names": ["model.other"]}]),
    "moments of another shape": of_the_optimizer(lambda entries: entries.update(exp_avg=torch.zeros(1, 3))),
    "moments of a number": of_the_optimizer(lambda entries: entries.update(exp_avg_sq=1.0)),
    "betas a text": lambda state: [group.update(betas="x") for group in state["optimizer"]["groups"]] and None,
    "micro negative": altered("micro", value=-1),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_words: list[str]) -> Path:
    """A run of two steps with a checkpoint of each."""
    import gptkit

    folder = tmp_path_factory.mktemp("trained") / "run"
    words = ["trainer.max_steps=2", "save.every=1", "save.keep=0", f"hydra.run.dir={folder}"]
    gptkit.run(gptkit.compose("train", [*tiny_words, *words]))
    return folder


@pytest.mark.parametrize("case", WRONG_STATES)
def test_invalid_training_state_prevents_resuming(trained: Path, tmp_path: Path, train: Callable[..., Any], case: str) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    path = folder_of(run, 2) / "state.pt"
    state = torch.load(path, weights_only=True)
    WRONG_STATES[case](state)
    torch.save(state, path)
    forge(path.parent)
    with pytest.raises(CheckpointError) as caught:
        train(run, "trainer.max_steps=3", "save.every=1", "save.keep=0")
    assert "state.pt: " in str(caught.value)
    assert "\n" not in str(caught.value)
