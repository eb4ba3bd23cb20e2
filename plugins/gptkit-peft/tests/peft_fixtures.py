"""Fixtures: a small base model over bytes, data of every kind, and runs with and without an adapter. Tests use no network."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GPTKIT_CACHE"] = tempfile.mkdtemp(prefix="gptkit-peft-tests-")

import pytest
import torch

import gptkit

Train = Callable[..., Any]
"""`train(folder, *words)`: trains a run of three steps in a folder of the test, and returns its result."""


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text, dialogues, rankings and prompts."""
    folder = tmp_path_factory.mktemp("inputs")
    rows: dict[str, list[dict[str, Any]]] = {"chats": [], "rankings": [], "prompts": []}
    for number in range(40):
        question = f"what is {number}?"
        answer = {"role": "assistant", "content": f"it is {number}"}
        rows["chats"].append({"messages": [{"role": "user", "content": question}, answer]})
        rows["rankings"].append({"prompt": question, "chosen": f"it is {number}", "rejected": "no"})
        rows["prompts"].append({"prompt": question})
    for name, records in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    (folder / "x.txt").write_text("To be, or not to be, that is the question.\n" * 60, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def base(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a small GPT."""
    folder = tmp_path_factory.mktemp("runs") / "base"
    words = ["data=text", f"data.path={inputs / 'x.txt'}", "tokenizer=bytes", "model.layers=2", "model.width=16", "model.heads=2"]
    gptkit.run(gptkit.compose("train", [*words, "model.context=48", *common(folder)]))
    return folder


def common(folder: Path) -> list[str]:
    return ["trainer=cpu", "trainer.max_steps=3", "batch.size=4", "batch.micro=4", "optimizer.lr=0.05", f"hydra.run.dir={folder}"]


@pytest.fixture
def train(inputs: Path, base: Path, tmp_path: Path) -> Train:
    """`train(folder, *words)`: trains three steps of SFT from the base, or of the objective in the words."""
    data = {"sft": "dialogues", "reward": "rankings", "dpo": "rankings", "ppo": "prompts", "grpo": "prompts"}
    files = {"dialogues": "chats", "rankings": "rankings", "prompts": "prompts"}

    def run(folder: str, *words: str) -> Any:
        chosen = {word.partition("=")[0]: word.partition("=")[2] for word in words}
        objective = chosen.get("objective", "sft")
        source = data[objective]
        defaults = [f"objective={objective}", f"data={source}", f"data.path={inputs / files[source]}.jsonl", f"init_from={base}"]
        defaults += common(tmp_path / folder)
        if "model" in chosen:
            defaults.remove(f"init_from={base}")
        kept = [word for word in defaults if word.partition("=")[0] not in chosen]
        return gptkit.run(gptkit.compose("train", [*kept, *words]))

    return run


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
