"""Steps with several updates, and updates with several batches, as rollouts of objectives yield them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gptkit
from gptkit.data.dataset import Batch
from gptkit.model.base import Model
from gptkit.objective import LMConfig
from gptkit.objective.base import Mean, Objective
from gptkit.objective.lm.next_token_prediction import LM
from gptkit.objective.monitor import Monitor
from gptkit.objective.rollout_objective import Minibatch, RolloutObjective, Total
from gptkit.optimizer import AdamWConfig
from gptkit.plugin_origin import BUILTIN_ORIGIN
from gptkit.plugins import Entry, registry
from gptkit.training.checkpoints.checkpoint import latest_checkpoint, read_checkpoint
from gptkit.training.checkpoints.retention import ranked_checkpoints
from gptkit.training.metric_accumulator import MetricAccumulator
from gptkit.training.setup import CONSTANT_LR, build_optimizer

Weights = Callable[[Path], dict[str, Tensor]]


@dataclasses.dataclass
class HalvesConfig(LMConfig):
    """Language modelling in two batches, which are accumulated into one update, or get one update each."""

    name: str = "halves"
    updates: int = 1

    def build(self, *, tokenizer: Any, context: int, width: int) -> Objective:
        return Halves(self, tokenizer=tokenizer, context=context)


class Halves(LM, RolloutObjective):
    def rollout(self, model: Model, batch: Batch, *, seed: int, total: Total) -> Iterable[Minibatch]:
        first = {name: tensor[:2] for name, tensor in batch.items()}
        second = {name: tensor[2:] for name, tensor in batch.items()}
        yield from [{"first": first, "second": second}] if self.settings.updates == 1 else [{"train": first}, {"train": second}]

    def loss(self, model: Model, batch: Batch) -> Any:
        terms, _ = super().loss(model, batch)
        return terms, {"length": torch.tensor(float(len(batch["tokens"]) * 3))}

    def monitor(self, metrics: Mapping[str, float]) -> Monitor:
        return Monitor(None, "max")


@pytest.fixture
def halves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry().parts["objective"], "halves", Entry(HalvesConfig, BUILTIN_ORIGIN))


@pytest.fixture
def train(tiny_words: list[str], halves: None) -> Callable[..., Any]:
    """`learn(folder, objective, *words)`: trains a tiny run with that objective."""

    def run(folder: Path, objective: LMConfig, *words: str) -> Any:
        job = gptkit.compose("train", [*tiny_words, f"hydra.run.dir={folder}", *words])
        job.settings.objective = objective  # type: ignore[attr-defined]
        return gptkit.run(job)

    return run


def test_batches_of_one_update_equal_one_batch(train: Callable[..., Any], weights: Weights, tmp_path: Path) -> None:
    eps = "optimizer.eps=1e-3"  # otherwise gradients that are zero except for rounding (of key biases) would become full steps
    whole = train(tmp_path / "whole", LMConfig(), eps)
    halves = train(tmp_path / "halves", HalvesConfig(), eps)
    assert halves["train_loss"] == pytest.approx(whole["train_loss"], abs=1e-5)
    there = weights(tmp_path / "halves")
    for name, tensor in weights(tmp_path / "whole").items():
        torch.testing.assert_close(there[name], tensor, rtol=0, atol=1e-6, msg=partial("{}: {}".format, name))
    assert halves["length"] == 3.0
    assert {"seconds_first", "seconds_second"} <= halves.keys()
    assert not {"seconds_first", "seconds_train"} & whole.keys()


def test_every_minibatch_updates_the_weights_once(train: Callable[..., Any], tmp_path: Path) -> None:
    result = train(tmp_path / "run", HalvesConfig(updates=2))
    path = latest_checkpoint(tmp_path / "run")
    assert path is not None
    entries = read_checkpoint(path).state["optimizer"]["state"]
    assert result["steps"] == 6
    assert {int(entry["step"]) for entry in entries.values()} == {12}


def test_objective_decides_the_best_checkpoint(train: Callable[..., Any], tmp_path: Path) -> None:
    words = ("save.every=2", "val.every=2", "save.keep=0")
    train(tmp_path / "loss", LMConfig(), *words)
    train(tmp_path / "highest", HalvesConfig(), *words)
    lowest, highest = ranked_checkpoints(tmp_path / "loss"), ranked_checkpoints(tmp_path / "highest")
    assert [folder.name for folder in lowest] == [folder.name for folder in reversed(highest)]
    assert len(lowest) == 3


def test_accumulator_averages_metrics_over_items_that_have_them() -> None:
    accumulator = MetricAccumulator()
    accumulator.add({"reward": torch.tensor(6.0)}, 3)
    accumulator.add({"reward": torch.tensor(2.0), "kl": torch.tensor(5.0)}, 1)
    accumulator.add({"rows": torch.ones(4)}, 4)
    accumulator.add_loss(torch.tensor(1.0))
    accumulator.add_loss(torch.tensor(2.0))
    with accumulator.measure_time("ptx", True):
        pass
    means = accumulator.means()
    assert float(means["reward"]) == 2.0
    assert float(means["kl"]) == 5.0
    assert "rows" not in means
    assert float(means["seconds_ptx"]) >= 0.0
    assert float(accumulator.loss()) == 1.5


def test_metrics_with_counts_are_summed_over_devices() -> None:
    """Micro-batches do not affect the mean: 3 of 4 prompts have pairs to compare, and the second micro-batch has none."""
    accumulator = MetricAccumulator()
    accumulator.add({"accuracy": Mean(torch.tensor(3.0), torch.tensor(4)), "score": torch.tensor(6.0)}, 4)
    accumulator.add({"accuracy": Mean(torch.tensor(0.0), torch.tensor(0)), "score": torch.tensor(0.0)}, 2)
    accumulator.add({"nothing": Mean(torch.tensor(0.0), torch.tensor(0))}, 2)
    accumulator.add_loss(torch.tensor(1.0))
    assert {name: float(mean) for name, mean in accumulator.means().items()} == {"accuracy": 0.75, "score": 1.0, "nothing": 0.0}
    other = torch.tensor([1.0, 2.0, 0.0, 4.0, 2.0, 0.0])  # sums and counts of another device
    both = accumulator.means(lambda tensor: tensor + other)
    assert {name: float(mean) for name, mean in both.items()} == {"accuracy": 0.5, "score": 1.0, "nothing": 0.0}


def test_parameters_with_constant_rates_ignore_the_schedule() -> None:
    model, value = nn.Linear(3, 3), nn.Linear(3, 1)
    named = [*((f"model.{name}", p) for name, p in model.named_parameters())]
    named += [(f"objective.value.{name}", p) for name, p in value.named_parameters()]
    optimizer = build_optimizer(AdamWConfig(lr=1e-3), named, {"value.": 9e-6})
    steady = [group for group in optimizer.param_groups if group.get(CONSTANT_LR)]
    assert {id(p) for group in steady for p in group["params"]} == {id(p) for p in value.parameters()}
    assert {group["peak_lr"] for group in steady} == {9e-6}
    assert {group["peak_lr"] for group in optimizer.param_groups if not group.get(CONSTANT_LR)} == {1e-3}
