"""What a reward model learns from a file of human comparisons: its accuracy on those that are held out, with an interval.

    python benchmarks/comparisons.py comparisons.jsonl.gz runs/comparisons --init runs/pretrain --train 1800
    python benchmarks/comparisons.py comparisons.jsonl runs/comparisons --init runs/pretrain --train 100 --epochs 0.1 --seeds 0

The comparisons are lines of .jsonl (plain, .gz or .zst) that `data=rankings` reads, such as chosen and rejected transcripts. They
are shuffled, always the same way; the first `--train` are learned from, the rest held out. What is longer than the context of the
pre-trained run is left out and counted. Runs that are there are not repeated. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

import gptkit
from gptkit.data.conversation_config import RankingsConfig
from gptkit.data.readers.decompression import open_bytes
from gptkit.data.record_checks import rankings_of
from gptkit.objective.preference.preference_dataset import tokenize_rankings

TEMPLATE = "transcript"
WORDS = ["objective=reward", f"objective.template={TEMPLATE}", "data=rankings", "data.empty=keep", "samples.prompts=[]"]
WORDS += ["val.every=0", "val.sequences=0", "optimizer.schedule.shape=cosine", "optimizer.schedule.floor=0.1"]


def divide(comparisons: Path, folder: Path, train: int) -> dict[str, Path]:
    """Write the shuffled lines of both splits; gives their files."""
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


def counted(files: dict[str, Path], init: str) -> dict[str, dict[str, int]]:
    """How many comparisons of each split fit the context of the pre-trained run."""
    model, tokenizer = gptkit.load(init)
    found = {}
    for split, path in files.items():
        rankings = list(rankings_of(RankingsConfig(path=str(path), empty="keep").build(), "train", reader="this benchmark"))
        kept = tokenize_rankings(rankings, tokenizer=tokenizer, template=TEMPLATE, context=model.context, split=split)
        found[split] = {"comparisons": len(rankings), "used": len(kept), "dropped": len(rankings) - len(kept)}
    return found


def train(folder: Path, words: list[str]) -> Any:
    """Train, or continue, or find finished; gives the run's summary."""
    result = gptkit.run(gptkit.compose("train", [*words, f"hydra.run.dir={folder}"]))
    if result.exit_status:
        sys.exit(result.exit_status)  # told to stop: the same command goes on
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparisons", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--init", required=True, help="a pre-trained run: its weights, tokenizer and context")
    parser.add_argument("--train", type=int, default=1800, help="comparisons to learn from")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=16, help="comparisons of a step")
    parser.add_argument("--rate", type=float, default=1e-4)
    arguments = parser.parse_args()
    files = divide(arguments.comparisons, arguments.runs, arguments.train)
    found: dict[str, Any] = {"splits": counted(files, arguments.init), "runs": {}}
    words = [*WORDS, f"init_from={arguments.init}", f"data.path={files['train']}", f"data.validation={files['held_out']}"]
    words += [f"epochs={arguments.epochs}", f"batch.size={arguments.batch}", f"optimizer.lr={arguments.rate}"]
    for seed in arguments.seeds:
        result = train(arguments.runs / f"seed-{seed}", [*words, f"seed={seed}"])
        found["runs"][seed] = {
            "accuracy": round(result["val_accuracy"], 4),
            "interval": [round(result["val_accuracy_low"], 4), round(result["val_accuracy_high"], 4)],
            "length_correlation": round(result["val_length_correlation"], 4),
            "seconds": round(result["wall_seconds"]),
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
