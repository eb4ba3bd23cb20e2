"""Train a reward model on human comparisons, and measure its accuracy on held-out ones, with an interval.

    python benchmarks/comparisons.py comparisons.jsonl.gz runs/comparisons --init runs/pretrain --train 1800
    python benchmarks/comparisons.py comparisons.jsonl runs/comparisons --init runs/pretrain --train 100 --epochs 0.1 --seeds 0

The comparisons are lines of a .jsonl file (plain, .gz or .zst) that `data=rankings` reads, such as chosen and rejected
transcripts. They are shuffled with a fixed seed; the first `--train` are used for training, the rest is held out. Comparisons
that are longer than the context of the pre-trained run are dropped and counted. Finished runs are not repeated. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

import gptkit
from gptkit.chat_template import TranscriptConfig
from gptkit.data.conversation_config import RankingsConfig
from gptkit.data.readers.decompression import open_bytes
from gptkit.data.record_checks import rankings_of
from gptkit.objective.preference.preference_dataset import tokenize_rankings

TEMPLATE = "transcript"
WORDS = ["objective=reward", f"chat_template={TEMPLATE}", "data=rankings", "data.empty=keep", "samples.prompts=[]"]
WORDS += ["val.every=0", "val.sequences=0", "optimizer.schedule.shape=cosine", "optimizer.schedule.floor=0.1"]


def write_splits(comparisons: Path, folder: Path, train: int) -> dict[str, Path]:
    """Write the shuffled lines of both splits. Returns the files by split."""
    with open_bytes(comparisons) as (file, _):
        lines = [line.decode() for line in file.read().splitlines() if line.strip()]
    if not 0 < train < len(lines):
        sys.exit(f"--train {train} must be at least 1 and below the {len(lines):,} comparisons of {comparisons}")
    random.Random(0).shuffle(lines)
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for split, part in {"train": lines[:train], "held_out": lines[train:]}.items():
        files[split] = folder / f"{split}.jsonl"
        files[split].write_text("".join(line + "\n" for line in part), encoding="utf-8")
    return files


def count_comparisons(files: dict[str, Path], init: str) -> dict[str, dict[str, int]]:
    """Count the comparisons of each split that fit the context of the pre-trained run."""
    model, tokenizer = gptkit.load(init)
    template = TranscriptConfig().build(tokenizer=tokenizer)
    counts = {}
    for split, path in files.items():
        rankings = list(rankings_of(RankingsConfig(path=str(path), empty="keep").build(), "train", reader="this benchmark"))
        kept = tokenize_rankings(rankings, template=template, context=model.context, split=split)
        counts[split] = {"comparisons": len(rankings), "used": len(kept), "dropped": len(rankings) - len(kept)}
    return counts


def train(folder: Path, words: list[str]) -> Any:
    """Train or continue a run, unless it is finished. Returns its summary."""
    result = gptkit.run(gptkit.compose("train", [*words, f"hydra.run.dir={folder}"]))
    if result.exit_status:
        sys.exit(result.exit_status)  # stopped by a signal; the same command continues the run
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparisons", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--init", required=True, help="a pre-trained run: its weights, tokenizer and context")
    parser.add_argument("--train", type=int, default=1800, help="number of training comparisons")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=16, help="comparisons per step")
    parser.add_argument("--rate", type=float, default=1e-4)
    arguments = parser.parse_args()
    files = write_splits(arguments.comparisons, arguments.runs, arguments.train)
    results: dict[str, Any] = {"splits": count_comparisons(files, arguments.init), "runs": {}}
    words = [*WORDS, f"init_from={arguments.init}", f"data.path={files['train']}", f"data.validation={files['held_out']}"]
    words += [f"epochs={arguments.epochs}", f"batch.size={arguments.batch}", f"optimizer.lr={arguments.rate}"]
    for seed in arguments.seeds:
        result = train(arguments.runs / f"seed-{seed}", [*words, f"seed={seed}"])
        results["runs"][seed] = {
            "accuracy": round(result["val_accuracy"], 4),
            "interval": [round(result["val_accuracy_low"], 4), round(result["val_accuracy_high"], 4)],
            "length_correlation": round(result["val_length_correlation"], 4),
            "seconds": round(result["wall_seconds"]),
        }
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
