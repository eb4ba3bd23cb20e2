"""Run the stages of the demo with several seeds: the accuracy of the reward model, the gain of PPO, and its cost.

    python benchmarks/alignment.py runs/alignment
    python benchmarks/alignment.py runs/alignment --pretrained runs/demo/pretrain --seeds 0 1

One model is pre-trained on film reviews. Every seed then trains on demonstrations, a reward model, PPO and PPO-ptx, with the
settings of conf/demo. Prints JSON: the reward model's accuracy on held-out rankings, and for both policies: the score of an
independent judge (a lexicon of human ratings that is not used in training), the score of the fine-tuned model and its standard
deviation over prompts, the divergence in nats per response, and the increase of the loss on held-out reviews. Finished runs are
not repeated.
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
    """Train or continue a run, unless it is finished. Returns its summary."""
    result = gptkit.run(gptkit.compose("train", [*words, f"hydra.run.dir={folder}"]))
    if result.exit_status:
        sys.exit(result.exit_status)  # stopped by a signal; the same command continues the run
    return result


def score(*words: str) -> dict[str, float]:
    """Return the result of `gptkit eval`."""
    with contextlib.redirect_stdout(io.StringIO()):
        metrics: dict[str, float] = gptkit.run(gptkit.compose("eval", list(words)))
    return metrics


def run_stages(pretrained: Path, runs: Path, seed: int) -> dict[str, Any]:
    """Run all stages with one seed."""
    sft, rm = runs / f"sft-{seed}", runs / f"rm-{seed}"
    train(sft, "+demo=sft", f"init_from={pretrained}", f"seed={seed}")
    ranked = train(rm, "+demo=rm", f"init_from={pretrained}", f"seed={seed}")
    results: dict[str, Any] = {
        "seed": seed,
        "accuracy": ranked["val_accuracy"],
        "accuracy_interval": [ranked["val_accuracy_low"], ranked["val_accuracy_high"]],
        "seconds": {"rm": ranked["wall_seconds"]},
    }
    for name in ("ppo", "ppo_ptx"):
        folder = runs / f"{name}-{seed}"
        words = [f"+demo={name}", f"init_from={sft}", "reward=model", f"reward.checkpoint={rm}", f"seed={seed}"]
        summary = train(folder, *words)
        judged = score("task=win_rate", f"checkpoint={folder}", f"against={sft}", "reward=lexicon")
        tax = score("task=alignment_tax", f"checkpoint={folder}", f"against={sft}", "data=movie_reviews")
        results[name] = {
            "judge": judged["score"],
            "judge_before": judged["score_against"],
            "judge_deviation": judged["deviation_against"],
            "gain_in_deviations": (judged["score"] - judged["score_against"]) / judged["deviation_against"],
            "win_rate": judged["win_rate"],
            "kl": summary["val_kl"],
            "loss_change": tax["loss_change"],
        }
        results["seconds"][name] = summary["wall_seconds"]
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--pretrained", type=Path, help="a run of +demo=pretrain; by default, one is trained")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    pretrained = arguments.pretrained or arguments.runs / "pretrain"
    if arguments.pretrained is None:
        train(pretrained, "+demo=pretrain")
    results = []
    for seed in arguments.seeds:
        results.append(run_stages(pretrained, arguments.runs, seed))
        print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
