"""Measure the overhead of gptkit per training step over a plain loop with the same model, objective, optimizer and batches.

    python benchmarks/overhead.py
    python benchmarks/overhead.py --steps 1000 --rounds 5

Prints JSON with milliseconds per step: medians over steps, then over rounds, in which both sides alternate in one process with
one thread. The model is so small that the overhead is visible. The plain loop reads the same batches, computes the same loss,
clips with torch, sets the learning rate, and updates with the same optimizer; gptkit does the same through Lightning, with logs,
counters, checks and seeds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning
import torch

import gptkit
from gptkit.optimizer.schedule import multiplier
from gptkit.training.dataloader import TrainDataLoader
from gptkit.training.fit import run
from gptkit.training.module import TrainModule
from gptkit.training.setup import build_components
from gptkit.training.trainer import build_trainer
from gptkit.training.trainer_arguments import check_trainer_arguments

WORDS = ["tokenizer=char", "model.layers=2", "model.heads=2", "model.width=32", "model.context=32", "batch.size=4"]
QUIET = ["trainer.precision=32-true", "val.fraction=0", "samples.prompts=[]", "trainer=cpu", "optimizer=adamw"]


class Clock(lightning.Callback):
    """Records the start time of each step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.times.append(time.perf_counter())


def median_gap(times: list[float]) -> float:
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    return statistics.median(gaps[len(gaps) // 5 :])


def settings_of(steps: int, folder: str) -> Any:
    return gptkit.compose("train", [*WORDS, *QUIET, f"trainer.max_steps={steps}", f"hydra.run.dir={folder}"]).settings


def seconds_of_gptkit(steps: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(steps, folder)
        components = build_components(settings)
        module = TrainModule(
            settings=settings,
            folder=Path(folder),
            model=components.model,
            objective=components.objective,
            tokenizer=components.tokenizer,
            datasets=components.datasets,
            micro_batch_size=settings.batch.size,
            last_step=steps,
            horizon=steps * settings.batch.size * settings.model.context,
            sources=components.sources,
        )
        clock = Clock()
        run(module, build_trainer(check_trainer_arguments(settings.trainer), Path(folder), [clock]))
        return median_gap(clock.times)


def seconds_of_plain(steps: int) -> float:
    settings = settings_of(steps, "unused")
    components = build_components(settings)
    model, objective = components.model, components.objective
    optimizer = settings.optimizer.build(parameters=model.named_parameters())
    horizon = steps * settings.batch.size * settings.model.context
    times, tokens = [], 0
    for batch in TrainDataLoader(components.datasets["train"], seed=0, batch=settings.batch.size, start=0, stop=steps):
        times.append(time.perf_counter())
        tokens += batch["tokens"].numel()
        factor = multiplier(tokens, schedule=settings.optimizer.schedule, horizon=horizon)
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        terms, _ = objective.loss(model, batch)
        (terms["lm"][1] / batch["targets"].numel()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.optimizer.clip)
        optimizer.step()
        optimizer.zero_grad()
    return median_gap(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rounds = [(seconds_of_gptkit(arguments.steps), seconds_of_plain(arguments.steps)) for _ in range(arguments.rounds)]
    kit, plain = (1000 * statistics.median(side) for side in zip(*rounds, strict=True))
    overhead = statistics.median(1000 * (ours - theirs) for ours, theirs in rounds)
    print(
        json.dumps(
            {"kit_ms": round(kit, 3), "plain_ms": round(plain, 3), "overhead_ms": round(overhead, 3), "rounds": arguments.rounds}
        )
    )


if __name__ == "__main__":
    main()
