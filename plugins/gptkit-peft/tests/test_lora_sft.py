"""Runs of SFT with an adapter: what is trained and saved, how it is loaded, and errors."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft_fixtures import Train
from safetensors.torch import load_file

import gptkit
from gptkit.errors import CheckpointError, ConfigError
from gptkit.training.checkpoints.load import open_checkpoint

LORA = ("adapter=lora", "adapter.rank=2")
TRAINED = 2 * 2 * (16 + 48 + 16 + 16 + 16 + 64 + 64 + 16)
"""Rank times the sizes of the inputs and outputs of four linear layers, in two blocks."""


def checkpoint_of(run: Path) -> Path:
    return open_checkpoint(str(run)).folder


def test_only_the_adapter_is_trained_and_saved(train: Train, base: Path, tmp_path: Path) -> None:
    assert train("run", *LORA)["parameters"] == TRAINED
    checkpoint = checkpoint_of(tmp_path / "run")
    assert sorted(path.name for path in checkpoint.iterdir()) == [
        *("adapter.safetensors", "config.yaml", "manifest.json", "state.pt", "tokenizer")
    ]
    saved = load_file(checkpoint / "adapter.safetensors")
    assert sum(tensor.numel() for tensor in saved.values()) == TRAINED
    state = torch.load(checkpoint / "state.pt", weights_only=True)
    assert {name.removeprefix("model.") for name in state["optimizer"]["state"]} == saved.keys()
    recorded = json.loads((checkpoint / "manifest.json").read_text())["base"]
    before = open_checkpoint(str(base))
    assert (recorded["key"], recorded["path"]) == ("init_from", str(before.folder.resolve()))
    assert recorded["fingerprint"] == before.fingerprint
    names = {".".join(name.split(".")[:4]) for name in saved}
    old, new = (gptkit.load(str(run))[0].state_dict() for run in (base, tmp_path / "run"))
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed == {f"{name}.weight" for name in names}  # loading merges the adapter


def test_generate_export_and_init_from_use_base_and_adapter(train: Train, tmp_path: Path) -> None:
    from gptkit.generation import generate

    train("run", *LORA)
    model, tokenizer = gptkit.load(str(tmp_path / "run"))
    gptkit.run(gptkit.compose("export", [f"checkpoint={tmp_path / 'run'}", f"to={tmp_path / 'out'}"]))
    exported, _ = gptkit.load(f"hf:{tmp_path / 'out'}")
    assert all(torch.equal(tensor, exported.state_dict()[name]) for name, tensor in model.state_dict().items())
    texts = [generate(each, tokenizer, ["what is"], max_new_tokens=8, temperature=0.0)[0][0].text for each in (model, exported)]
    assert texts[0] == texts[1]
    train("again", f"init_from={tmp_path / 'run'}", *LORA)  # an adapter on top of a merged one
    recorded = json.loads((checkpoint_of(tmp_path / "again") / "manifest.json").read_text())["base"]
    assert recorded["path"] == str(checkpoint_of(tmp_path / "run").resolve())
    assert recorded["fingerprint"] == open_checkpoint(str(tmp_path / "run")).fingerprint
    train("full", f"init_from={tmp_path / 'run'}")  # all weights of the merged model
    assert (checkpoint_of(tmp_path / "full") / "model.safetensors").exists()


@pytest.mark.parametrize("words", [(), ("ema=0.5",), ("adapter.dropout=0.3",)], ids=["plain", "ema", "dropout"])
def test_a_run_resumes_bit_for_bit(train: Train, tmp_path: Path, words: tuple[str, ...]) -> None:
    words = (*words, *LORA, "trainer.max_steps=4", "save.every=2", "save.keep=0")
    train("whole", *words)
    shutil.copytree(tmp_path / "whole/checkpoints/step-00000002", tmp_path / "split/checkpoints/step-00000002")
    train("split", *words)  # as after a crash in step 3
    one, other = (load_file(checkpoint_of(tmp_path / name) / "adapter.safetensors") for name in ("whole", "split"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    states: list[Any] = [torch.load(checkpoint_of(tmp_path / run) / "state.pt", weights_only=True) for run in ("whole", "split")]
    for name, entries in states[0]["optimizer"]["state"].items():
        assert all(torch.equal(value, states[1]["optimizer"]["state"][name][key]) for key, value in entries.items())
    averaged = {name for name, tensor in states[0]["weights"].items() if not torch.equal(tensor, one[name])}
    assert averaged == (one.keys() if "ema=0.5" in words else set())


def test_another_rank_is_another_run(train: Train, tmp_path: Path) -> None:
    train("run", *LORA)
    with pytest.raises(ConfigError, match=r"adapter\.rank: 2 -> 3"):
        train("run", "adapter=lora", "adapter.rank=3")


def test_keys_of_an_adapter_need_one() -> None:
    with pytest.raises(ConfigError, match=r"adapter\.rank is set, but no adapter is chosen; add one of adapter=lora"):
        gptkit.compose("train", ["adapter.rank=4"])


def test_base_and_run_can_be_moved_together(train: Train, base: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    shutil.copytree(base, here / "base")
    train("here/run", *LORA, f"init_from={here / 'base'}")
    before = gptkit.load(str(here / "run"))[0].state_dict()
    here.rename(there)
    after = gptkit.load(str(there / "run"))[0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_missing_or_changed_base_is_one_line(train: Train, base: Path, tmp_path: Path) -> None:
    copy, run = tmp_path / "base", tmp_path / "run"
    shutil.copytree(base, copy)
    train("run", *LORA, f"init_from={copy}")
    own = checkpoint_of(copy)
    shutil.rmtree(copy)
    with pytest.raises(CheckpointError) as missing:
        gptkit.load(str(run))
    assert str(missing.value) == (
        f"{checkpoint_of(run)}: holds an adapter, and the model that it was trained on is not at {own.resolve()}; "
        "move it back there"
    )
    with pytest.raises(CheckpointError, match="move it back there"):
        gptkit.run(gptkit.compose("train", [f"hydra.run.dir={run}", "trainer.max_steps=5"]))  # continuing needs it, too
    train("other", "optimizer.lr=0.01")
    shutil.copytree(checkpoint_of(tmp_path / "other"), own)
    with pytest.raises(CheckpointError, match=r"the weights of \S+ have changed since it was trained on them; restore them"):
        gptkit.load(str(run))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model=gpt",), "adapter=lora is trained on top of a trained model, and there is none; set init_from="),
        (("trainer.strategy=fsdp2",), "adapter=lora needs the whole model on every device; use trainer.strategy=ddp, not fsdp2"),
        (("trainer.strategy=tp",), "adapter=lora needs the whole model on every device; use trainer.strategy=ddp, not tp"),
    ],
)
def test_a_run_that_cannot_train_an_adapter_says_so(train: Train, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train("run", *LORA, *words)
