"""Every objective trains and resumes in every precision, with every model and with a moving average of the weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import gptkit
from gptkit.errors import ConfigError
from gptkit.objective.losses import cross_entropy_sum
from gptkit.objective.precision import upcast
from gptkit.plugins import registry
from gptkit.training.trainer_arguments import check_trainer_arguments

TINY = (
    "tokenizer=bytes",
    "model.layers=1",
    "model.heads=2",
    "model.width=16",
    "model.context=24",
    "model.dropout=0.1",
    "batch.size=4",
    "batch.micro=3",
    "trainer.accelerator=cpu",
    "trainer.max_steps=2",
    "val.every=0",
    "val.sequences=3",
    "samples.prompts=[]",
    "optimizer.schedule.shape=constant",
    "optimizer.schedule.warmup=0",
)
STORED = {"32-true": torch.float32, "bf16-mixed": torch.float32, "bf16-true": torch.bfloat16, "64-true": torch.float64}
"""Precisions that every objective supports, and the dtype in which each stores the weights."""
RULES = ("reward=rules", "reward.length=1", "reward.words=2", "objective.max_new_tokens=6")
WORDS = {
    "lm": ("data=text",),
    "aux_lm": ("data=labelled",),
    "probe": ("data=labelled",),
    "sft": ("data=dialogues", *RULES),
    "reward": ("data=rankings",),
    "dpo": ("data=rankings",),
    "ppo": ("data=prompts", *RULES, "objective.minibatch=2", "objective.kl_target=1"),
    "grpo": ("data=prompts", *RULES, "objective.group=2"),
}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write a file for each source."""
    folder = tmp_path_factory.mktemp("data")
    rows: dict[str, list[dict[str, Any]]] = {
        "labelled": [{"text": f"count {n}", "label": "even" if n % 2 else "odd"} for n in range(20)],
        "dialogues": [{"prompt": f"{n}+1?", "completion": f" {n + 1}"} for n in range(20)],
        "rankings": [{"prompt": f"{n}?", "completions": [f" {n}", " no", " x"], "ranks": [0, 1, 1]} for n in range(20)],
        "prompts": [{"prompt": f"count {n}:"} for n in range(20)],
    }
    for name, content in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    (folder / "text.txt").write_text("".join(f"{n} bottles, {n * n % 97} glasses\n" for n in range(60)), encoding="utf-8")
    return {name: folder / f"{name}.jsonl" for name in rows} | {"text": folder / "text.txt"}


@pytest.fixture
def run(paths: dict[str, Path]) -> Callable[..., Any]:
    """`run(folder, objective, *words)`: trains two steps, validates, and returns the result."""

    def train(folder: Path, objective: str, *words: str) -> Any:
        source = WORDS[objective][0].removeprefix("data=")
        own = (f"objective={objective}", *WORDS[objective], f"data.path={paths[source]}")
        return gptkit.run(gptkit.compose("train", [*TINY, *own, *words, f"hydra.run.dir={folder}"]))

    return train


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(max(folder.glob("checkpoints/step-*")) / "model.safetensors")


def test_all_objectives_are_covered() -> None:
    assert set(WORDS) == set(registry().parts["objective"])


GPT, LSTM = (), ("model=lstm", "model.units=16", "ema=0.5")
TRIED = [*((precision, GPT) for precision in STORED), ("bf16-true", LSTM)]


@pytest.mark.parametrize(("precision", "variant"), TRIED, ids=[*STORED, "bf16-true-lstm-ema"])
@pytest.mark.parametrize("objective", WORDS)
def test_every_objective_trains_in_every_precision(
    objective: str, precision: str, variant: tuple[str, ...], run: Callable[..., Any], tmp_path: Path
) -> None:
    if objective == "probe":
        variant = tuple(word for word in variant if not word.startswith("ema"))  # a probe trains no weights to average
    result = run(tmp_path, objective, f"trainer.precision={precision}", *variant)
    assert math.isfinite(result["train_loss"])
    assert math.isfinite(result["val_loss"])
    assert {tensor.dtype for tensor in weights(tmp_path).values()} == {STORED[precision]}


def test_language_model_trains_in_16_true(run: Callable[..., Any], tmp_path: Path) -> None:
    assert math.isfinite(run(tmp_path, "lm", "trainer.precision=16-true")["val_loss"])
    assert {tensor.dtype for tensor in weights(tmp_path).values()} == {torch.float16}


@pytest.mark.parametrize("precision", ["bf16-true", "64-true"])
@pytest.mark.parametrize("objective", ["lm", "aux_lm", "ppo"])
def test_run_resumes_bit_identically_in_its_stored_dtype(
    objective: str, precision: str, run: Callable[..., Any], tmp_path: Path
) -> None:
    words = (f"trainer.precision={precision}", "ema=0.5")
    whole = run(tmp_path / "whole", objective, *words)
    run(tmp_path / "stopped", objective, *words, "trainer.max_steps=1")
    assert run(tmp_path / "stopped", objective, *words)["val_loss"] == whole["val_loss"]
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_losses_and_log_probabilities_use_at_least_float32() -> None:
    for dtype, full in ((torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)):
        logits = torch.randn(5, 7, dtype=dtype, requires_grad=True)
        loss = cross_entropy_sum(logits, torch.arange(5))
        loss.backward()
        assert loss.dtype == full
        assert logits.grad is not None
        assert logits.grad.dtype == dtype
        assert upcast(logits).dtype == full


@pytest.mark.parametrize(
    ("typed", "name"),
    [("fp16", "16-mixed"), ("bf16", "bf16-mixed"), ("fp32", "32-true"), ("16", "16-mixed"), ("32", "32-true"), ("'64'", "64-true")],
)
def test_short_precision_names_are_stored_in_full(typed: str, name: str) -> None:
    settings = gptkit.compose("train", [f"trainer.precision={typed}"]).settings
    assert check_trainer_arguments(settings.trainer)["precision"] == name  # type: ignore[attr-defined]


def test_run_resumes_with_another_name_of_its_precision(run: Callable[..., Any], tmp_path: Path) -> None:
    run(tmp_path, "lm", "trainer.precision=fp32", "trainer.max_steps=1")
    assert "precision: 32-true" in (tmp_path / "config.yaml").read_text(encoding="utf-8")
    assert run(tmp_path, "lm", "trainer.precision=32")["steps"] == 2


def test_unsupported_precision_is_rejected(run: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.precision=16-mixed needs a GPU; write bf16-mixed or 32-true"):
        run(tmp_path, "lm", "trainer.precision=fp16", "trainer.accelerator=cpu")
