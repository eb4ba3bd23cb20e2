"""Measure the effect of pre-training, the auxiliary loss and the Transformer on the bundled film reviews, as in GPT-1's table 5.

    python benchmarks/sentiment.py runs/sentiment
    python benchmarks/sentiment.py runs/sentiment --seeds 0 --variants full scratch --pretrain-tokens 100000 --epochs 0.1

A small GPT is pre-trained once on the bundled prose and the reviews without labels. Then, for every seed: fine-tuned with the
auxiliary loss (full) and without (no_aux), from random weights (scratch), with half of its blocks transferred (half), and an LSTM
pre-trained and fine-tuned the same way (lstm). Accuracy is that of the last step, on Rotten Tomatoes reviews that are in neither
training set. The baseline is TF-IDF with logistic regression (scikit-learn's defaults) on the same labels. Finished runs are not
repeated. Prints JSON, including the seconds of each run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

import gptkit
from gptkit.data import MovieReviewsConfig
from gptkit.objective.classify.classification_dataset import ClassificationDataset
from gptkit.objective.classify.metrics import accuracy_of_columns, bootstrap_interval
from gptkit.records import Example
from gptkit.training.checkpoints.checkpoint import latest_checkpoint, read_checkpoint
from gptkit.training.checkpoints.model_weights import load_weights

SIZE = ["model.layers=4", "model.heads=4", "model.width=192", "model.context=128"]
LSTM = ["model=lstm", "model.layers=1", "model.width=192", "model.units=512", "model.context=128"]
TOKENIZER = ["tokenizer=gpt1", "tokenizer.cleaning=transformers", "tokenizer.size=8192"]
PRETRAIN = ["data=prose", *TOKENIZER, "optimizer=muon", "optimizer.lr=0.02", "batch.size=32", "samples.prompts=[]"]
PRETRAIN += ["optimizer.schedule.shape=linear", "optimizer.schedule.floor=0", "val.every=300", "val.sequences=128"]
FINETUNE = ["objective=aux_lm", "data=movie_reviews", "optimizer=adamw", "batch.size=32"]
FINETUNE += ["val.sequences=0", "val.every=0", "samples.prompts=[]"]
SCHEDULE = ["optimizer.schedule.shape=linear", "optimizer.schedule.warmup=0.1", "optimizer.schedule.floor=0"]
VARIANTS = ("full", "no_aux", "half", "scratch", "lstm")


def train(folder: Path, words: list[str]) -> float:
    """Train or continue a run, unless it is finished. Returns its total seconds."""
    result = gptkit.run(gptkit.compose("train", [*words, f"hydra.run.dir={folder}"]))
    if result.exit_status:
        sys.exit(result.exit_status)  # stopped by a signal; the same command continues the run
    return float(result["wall_seconds"])


def words_of(variant: str, seed: int, runs: Path, epochs: float, rate: float) -> list[str]:
    """Return the overrides of one fine-tuning run."""
    start = runs / ("pretrain_lstm" if variant == "lstm" else "pretrain")
    words = [*FINETUNE, *SCHEDULE, f"optimizer.lr={rate}", f"seed={seed}", f"epochs={epochs}"]
    if variant == "scratch":
        return [*words, *SIZE, *TOKENIZER, "model.dropout=0.1"]
    words += [f"init_from={start}", "model.dropout=0.1"]
    return words + {"no_aux": ["objective.lm_weight=0"], "half": ["objective.transfer_layers=2"]}.get(variant, [])


@torch.no_grad()
def accuracy(folder: Path) -> tuple[float, float, float]:
    """Return the accuracy of the last checkpoint on the test reviews in percent, and its 95% interval."""
    path = latest_checkpoint(folder)
    assert path is not None
    checkpoint = read_checkpoint(path)
    settings, tokenizer = checkpoint.settings, checkpoint.tokenizer
    objective: Any = settings.objective.build(tokenizer=tokenizer, context=settings.model.context, width=settings.model.width)
    objective.load_state_dict(checkpoint.objective_state)
    model = settings.model.build(attention=settings.attention, vocabulary=tokenizer.size + settings.objective.added_tokens)
    load_weights(model, checkpoint.model_state, str(path))
    model.eval(), objective.eval()
    items = ClassificationDataset(objective.tokenize(list(MovieReviewsConfig().build().records("test")), "test"))
    order = items.lengths().argsort().tolist()
    outputs, labels = [], []
    for start in range(0, len(order), 64):
        batch = items.batch(order[start : start + 64])
        outputs.append(objective.outputs(objective.hidden_states(model, batch), batch["lengths"]).argmax(-1))
        labels.append(batch["labels"].long())
    predicted, expected = torch.cat(outputs), torch.cat(labels)
    low, high = bootstrap_interval(accuracy_of_columns, predicted, expected)
    return 100 * float((predicted == expected).float().mean()), 100 * low, 100 * high


def bag_of_words() -> float:
    """Return the accuracy of TF-IDF with logistic regression on the same labels, in percent."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    data = MovieReviewsConfig().build()
    texts: dict[str, list[str]] = {}
    labels: dict[str, list[str]] = {}
    for split in ("train", "test"):
        examples = [record for record in data.records(split) if isinstance(record, Example)]
        texts[split], labels[split] = [example.text for example in examples], [str(example.label) for example in examples]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
    model.fit(texts["train"], labels["train"])
    return 100 * float(model.score(texts["test"], labels["test"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--pretrain-tokens", type=int, default=8_000_000)
    parser.add_argument("--epochs", type=float, default=4.0)
    parser.add_argument("--rate", type=float, default=1e-3)
    arguments = parser.parse_args()
    begin = time.perf_counter()
    results: dict[str, Any] = {"bag_of_words": round(bag_of_words(), 2)}
    tokens = [f"tokens={arguments.pretrain_tokens}"]
    results["pretrain_seconds"] = round(train(arguments.runs / "pretrain", [*PRETRAIN, *SIZE, *tokens]))
    if "lstm" in arguments.variants:
        results["pretrain_lstm_seconds"] = round(train(arguments.runs / "pretrain_lstm", [*PRETRAIN, *LSTM, *tokens]))
    for variant in arguments.variants:
        seconds, scores = [], []
        for seed in arguments.seeds:
            folder = arguments.runs / f"{variant}-{seed}"
            seconds.append(train(folder, words_of(variant, seed, arguments.runs, arguments.epochs, arguments.rate)))
            scores.append(accuracy(folder))
            print(variant, seed, scores[-1], flush=True)
        results[variant] = {
            "accuracy": [round(score, 2) for score, _, _ in scores],
            "median": round(statistics.median(score for score, _, _ in scores), 2),
            "intervals": [[round(low, 2), round(high, 2)] for _, low, high in scores],
            "seconds": [round(second) for second in seconds],
        }
    results["seconds"] = round(time.perf_counter() - begin)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
