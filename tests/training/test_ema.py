"""The moving average of a run's weights: its recurrence, and its use in validation, checkpoints and loading."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import gptkit
from gptkit.training.checkpoints.checkpoint import latest_checkpoint, read_checkpoint
from gptkit.training.ema import EMA

Train = Callable[..., Any]
Weights = Callable[[Path], dict[str, Tensor]]


def test_update_moves_the_average_by_one_minus_the_decay() -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    average = EMA(model, 0.9)
    expected = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for _ in range(4):
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.add_(torch.randn_like(parameter))
                expected[name] = 0.9 * expected[name] + 0.1 * parameter
        average.update()
    for name, kept in average.weights().items():
        assert torch.allclose(kept, expected[name], atol=1e-6)


def test_applied_swaps_in_the_average_and_restores_the_weights() -> None:
    model = torch.nn.Linear(2, 2)
    average = EMA(model, 0.5)
    before = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1.0
    with average.applied():
        assert torch.equal(model.weight, before)
    assert torch.equal(model.weight, before + 1.0)


def test_average_moves_to_the_device_of_the_weights() -> None:
    model = torch.nn.Linear(2, 2)
    average = EMA(model, 0.5)
    model.to("meta")  # as Lightning moves a model to its device, which may replace its parameters
    average.update()
    assert {name: kept.device.type for name, kept in average.weights().items()} == {"weight": "meta", "bias": "meta"}


def test_run_saves_its_average_and_resumes_from_its_weights(train: Train, weights: Weights, tmp_path: Path) -> None:
    words = ("ema=0.8", "optimizer.schedule.shape=constant", "optimizer.schedule.warmup=0")
    train(tmp_path / "whole", *words)
    train(tmp_path / "parts", *words, "trainer.max_steps=3")
    train(tmp_path / "parts", *words)
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())

    path = latest_checkpoint(tmp_path / "whole")
    assert path is not None
    own = read_checkpoint(path).state["weights"]
    assert own.keys() == whole.keys()
    assert any(not torch.equal(own[name], whole[name]) for name in own)
    model, _ = gptkit.load(str(tmp_path / "whole"))
    assert all(torch.equal(tensor, whole[name]) for name, tensor in model.state_dict().items())


def test_average_does_not_change_training(train: Train, weights: Weights, tmp_path: Path) -> None:
    train(tmp_path / "plain")
    train(tmp_path / "averaged", "ema=0.99")
    path = latest_checkpoint(tmp_path / "averaged")
    assert path is not None
    own = read_checkpoint(path).state["weights"]
    assert all(torch.equal(tensor, own[name]) for name, tensor in weights(tmp_path / "plain").items())


def test_ppo_saves_the_average_of_its_policies(train: Train, tmp_path: Path) -> None:
    """The average starts as a copy of the reference; training continues with the weights themselves."""
    prompts, decay = tmp_path / "prompts.jsonl", 0.8
    prompts.write_text("".join(f'{{"prompt": "count {n}:"}}\n' for n in range(12)), encoding="utf-8")
    words = ["objective=ppo", "data=prompts", f"data.path={prompts}", "tokenizer=bytes", "model.context=24", "batch.size=4"]
    words += ["reward=rules", "reward.length=1", "reward.words=2", "objective.max_new_tokens=8", f"ema={decay}"]
    train(tmp_path / "run", *words, "save.every=1", "save.keep=10")
    checkpoints = [read_checkpoint(path) for path in sorted((tmp_path / "run" / "checkpoints").glob("step-*"))]
    assert [checkpoint.step for checkpoint in checkpoints] == [1, 2, 3, 4, 5, 6]
    start = checkpoints[0].objective_state
    expected = {name: start[f"reference.{name}"].double() for name in checkpoints[0].model_state}
    for checkpoint in checkpoints:
        own = checkpoint.state["weights"]
        expected = {name: decay * kept + (1 - decay) * own[name].double() for name, kept in expected.items()}
        for name, kept in expected.items():
            assert torch.allclose(checkpoint.model_state[name].double(), kept, rtol=0, atol=1e-6), (checkpoint.step, name)
    assert any(not torch.allclose(own[name].double(), kept, rtol=0, atol=1e-3) for name, kept in expected.items())


@pytest.mark.parametrize("decay", ["1", "-0.1", "1.5"])
def test_invalid_decay_is_rejected(decay: str, train: Train, tmp_path: Path) -> None:
    with pytest.raises(gptkit.errors.ConfigError, match=f"ema={float(decay):g} must be"):
        train(tmp_path, f"ema={decay}")


def test_average_of_a_frozen_model_is_rejected(train: Train, tmp_path: Path) -> None:
    rows = [f'{{"text": "count {n}", "label": "{"even" if n % 2 == 0 else "odd"}"}}\n' for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("".join(rows), encoding="utf-8")
    words = ["objective=probe", "data=labelled", f"data.path={tmp_path / 'rows.jsonl'}", "tokenizer=bytes", "ema=0.9"]
    with pytest.raises(
        gptkit.errors.ConfigError, match=r"ema=0.9 averages .*, and objective=probe trains none of them; remove ema"
    ):
        train(tmp_path / "run", *words)
