"""The stages of the demo with several seeds: what the reward model knows, what PPO gains, and what it costs.

    python benchmarks/alignment.py runs/alignment
    python benchmarks/alignment.py runs/alignment --pretrained runs/demo/pretrain --seeds 0 1

One model is pre-trained on film reviews; for every seed follow demonstrations, a reward model, PPO and PPO-ptx, all as
conf/demo has them. Printed as JSON: the reward model's accuracy on held-out rankings; for both policies the score of an
independent judge (a lexicon of human ratings that no training saw) beside that of the demonstrations' model and its standard
deviation over prompts, the divergence in nats per response, and how much the loss on held-out reviews rose. Runs that are there
are not repeated.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import gptkit


def train(folder: Path, *words: str) -> Any:
    """Train, or continue, or find finished; gives the run's summary."""
    result = gptkit.run(gptkit.compose("train", [*words, f"hydra.run.dir={folder}"]))
    if result.exit_status:
        sys.exit(result.exit_status)  # told to stop: the same command goes on
    return result


def score(*words: str) -> dict[str, float]:
    """What `gptkit eval` finds."""
    with contextlib.redirect_stdout(io.StringIO()):
        found: dict[str, float] = gptkit.run(gptkit.compose("eval", list(words)))
    return found


def aligned(pretrained: Path, runs: Path, seed: int) -> dict[str, Any]:
    """All stages with one seed."""
    sft, rm = runs / f"sft-{seed}", runs / f"rm-{seed}"
    train(sft, "+demo=sft", f"init_from={pretrained}", f"seed={seed}")
    ranked = train(rm, "+demo=rm", f"init_from={pretrained}", f"seed={seed}")
    found: dict[str, Any] = {
        "seed": seed,
        "accuracy": ranked["val_accuracy"],
        "accuracy_interval": [ranked["val_accuracy_low"], ranked["val_accuracy_high"]],
        "seconds": {"rm": ranked["wall_seconds"]},
    }
    for name in ("ppo", "ppo_ptx"):
        folder = runs / f"{name}-{seed}"
        words = [f"+demo={name}", f"init_from={sft}", "reward=model", f"reward.checkpoint={rm}", f"seed={seed}"]
        made = train(folder, *words)
        judged = score("task=win_rate", f"checkpoint={folder}", f"against={sft}", "reward=lexicon")
        tax = score("task=alignment_tax", f"checkpoint={folder}", f"against={sft}", "data=movie_reviews")
        found[name] = {
            "judge": judged["score"],
            "judge_before": judged["score_against"],
            "judge_deviation": judged["deviation_against"],
            "gain_in_deviations": (judged["score"] - judged["score_against"]) / judged["deviation_against"],
            "win_rate": judged["win_rate"],
            "kl": made["val_kl"],
            "loss_change": tax["loss_change"],
        }
        found["seconds"][name] = made["wall_seconds"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--pretrained", type=Path, help="a run of +demo=pretrain; without it one is made")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    pretrained = arguments.pretrained or arguments.runs / "pretrain"
    if arguments.pretrained is None:
        train(pretrained, "+demo=pretrain")
    found = []
    for seed in arguments.seeds:
        found.append(aligned(pretrained, arguments.runs, seed))
        print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
