"""Measure the speed of fine-tuning, compared with language modelling on sequences of the same mean length, and of padding.

    python benchmarks/finetune_speed.py
    python benchmarks/finetune_speed.py --rounds 1 --steps 6 --labelled rotten_tomatoes model.layers=1 model.heads=2 model.width=32

Both sides train on the bundled film reviews like `gptkit train`, alternately, each in a separate process. Overrides after the
options apply to both. Tokens per second are those of summary.json, which do not count padding; the result is the median of the
rounds. Padding is the share of positions in a batch without a token, over one epoch: in the order of gptkit, which groups reviews
of similar length, and in random order; also for multiple choice with `story_completion`. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

import gptkit
from gptkit.data.dataset import Dataset
from gptkit.data.sampler import epoch_order
from gptkit.training.dataloader import TrainDataLoader

SHAPE = ["model.layers=4", "model.heads=6", "model.width=192", "model.dropout=0.1", "tokenizer=bpe", "tokenizer.size=8192"]
CONTEXT = 128
"""Maximum length of a review in tokens. Longer reviews are truncated."""
CHOICES = ["data=story_completion", "model.context=512"]
"""Overrides for multiple choice, whose passages are longer."""
BATCH = 32


def words_of(side: str, context: int, steps: int, labelled: str) -> list[str]:
    """Return the overrides of one side, except its folder and those of the command line."""
    end = [f"trainer.max_steps={steps}", f"trainer.log_every_n_steps={max(1, steps // 6)}", "samples.prompts=[]"]
    data = ["data=movie_reviews", f"data.labelled={labelled}", f"batch.size={BATCH}", "val.every=0", "val.sequences=1"]
    return [f"objective={side}", *data, *SHAPE, f"model.context={context}", *end]


def rate(side: str, words: list[str]) -> float:
    """Return tokens per second: the median over the windows between log rows, without the first."""
    with tempfile.TemporaryDirectory() as folder:
        return float(gptkit.run(gptkit.compose("train", [*words, f"hydra.run.dir={folder}/run"]))["tokens_per_second"])


def training_items(words: list[str]) -> Dataset:
    """Return the tokenized training examples of a fine-tuning run."""
    settings: Any = gptkit.compose("train", words).settings
    data = settings.data.build()
    tokenizer = settings.tokenizer.build(texts=data.texts())
    objective = settings.objective.build(tokenizer=tokenizer, context=settings.model.context, width=settings.model.width)
    datasets: dict[str, Dataset] = objective.datasets(data, validation_fraction=0.0)
    return datasets["train"]


def lengths_of(dataset: Dataset) -> np.ndarray[Any, np.dtype[np.int64]]:
    lengths = dataset.lengths()
    assert lengths is not None
    return lengths


def padding(batches: Iterator[np.ndarray[Any, np.dtype[np.int64]]]) -> dict[str, float]:
    """Return the share of padding over all batches, of the median batch and of the worst batch, from the lengths in each batch."""
    totals = [(int(lengths.max()) * len(lengths), int(lengths.sum())) for lengths in batches]
    shares = [1 - tokens / positions for positions, tokens in totals]
    whole = 1 - sum(tokens for _, tokens in totals) / sum(positions for positions, _ in totals)
    return {"all": round(whole, 4), "median": round(statistics.median(shares), 4), "worst": round(max(shares), 4)}


def padding_of(dataset: Dataset) -> dict[str, dict[str, float]]:
    """Return the share of padding in the order of gptkit and in random order."""
    steps = len(dataset) // BATCH
    shuffled = epoch_order(0, items=len(dataset), seed=0)[: steps * BATCH]
    batches = {
        "by_length": iter(TrainDataLoader(dataset, seed=0, batch=BATCH, start=0, stop=steps)),
        "random": (dataset.batch(items.tolist()) for items in np.split(shuffled, steps)),
    }
    return {name: padding(batch["lengths"].flatten().numpy() for batch in ordered) for name, ordered in batches.items()}


def run_in_process(side: str, words: list[str]) -> float:
    command = [sys.executable, __file__, "--side", side, *words]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--labelled", default="all", choices=["all", "imdb", "rotten_tomatoes"])
    parser.add_argument("--side", choices=["aux_lm", "lm"], help="measure one side once, in this process, with these overrides")
    arguments, words = parser.parse_known_args()
    if arguments.side is not None:
        print(rate(arguments.side, words))
        return
    tuning = [*words_of("aux_lm", CONTEXT, arguments.steps, arguments.labelled), *words]
    dataset = training_items(tuning)
    mean = round(float(lengths_of(dataset).mean()))
    modelling = [*words_of("lm", mean, arguments.steps, arguments.labelled), *words]
    rounds = [(run_in_process("aux_lm", tuning), run_in_process("lm", modelling)) for _ in range(arguments.rounds)]
    aux_lm, lm = (statistics.median(rates) for rates in zip(*rounds, strict=True))
    results = {
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "rounds": arguments.rounds,
        "labelled": arguments.labelled,
        "examples": len(dataset),
        "mean_length": mean,
        "padding": padding_of(dataset),
        "padding_of_choices": padding_of(training_items([*(word for word in tuning if not word.startswith("data")), *CHOICES])),
        "aux_lm_tokens_per_second": round(aux_lm, 1),
        "lm_tokens_per_second": round(lm, 1),
        "ratio": round(aux_lm / lm, 3),
    }
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
