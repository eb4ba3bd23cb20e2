"""Measure the training speed of gptkit, compared with a plain PyTorch loop over a model of the same shape.

    python benchmarks/train_speed.py                       GPT-2 124M (one sequence of 1024) and a small character model
    python benchmarks/train_speed.py --shapes characters --rounds 5

Prints JSON with tokens per second: the medians of several rounds, in which both sides alternate. Each runs in a separate process,
because gptkit sets the memory allocator. gptkit runs like `gptkit train`, with logs and pages, on the bundled speeches, with the
default precision of the machine. The plain loop (plain_loop.py) uses fp32 and default settings. The first steps are not measured.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile

import torch
from plain_loop import SHAPES, seconds_per_step

STEPS = {"gpt2-124m": 4, "characters": 400}
WARM_UP = {"gpt2-124m": 2, "characters": 50}


def rate_of_plain(name: str) -> float:
    shape = SHAPES[name]
    seconds = seconds_per_step(shape, STEPS[name])[WARM_UP[name] :]
    return shape.batch * shape.context / statistics.median(seconds)


def rate_of_gptkit(name: str, words: list[str]) -> float:
    """Return tokens per second from summary.json: the median over the windows between log rows, without the first."""
    import gptkit

    shape = SHAPES[name]
    with tempfile.TemporaryDirectory() as folder:
        run = gptkit.compose(
            "train",
            [
                f"model.layers={shape.layers}",
                f"model.heads={shape.heads}",
                f"model.width={shape.width}",
                f"model.context={shape.context}",
                f"tokenizer={'gpt2' if shape.vocabulary > 1000 else 'char'}",
                f"batch.size={shape.batch}",
                f"trainer.max_steps={STEPS[name]}",
                f"trainer.log_every_n_steps={max(1, WARM_UP[name] // 2)}",
                "val.fraction=0",
                "samples.prompts=[]",
                f"hydra.run.dir={folder}/run",
                *words,
            ],
        )
        return float(gptkit.run(run)["tokens_per_second"])


def run_in_process(side: str, name: str, words: list[str]) -> float:
    command = [sys.executable, __file__, "--side", side, "--shapes", name, *words]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--side", choices=["kit", "plain"], help="measure one side once, in this process")
    arguments, words = parser.parse_known_args()
    if arguments.side is not None:
        name = arguments.shapes[0]
        print(rate_of_plain(name) if arguments.side == "plain" else rate_of_gptkit(name, words))
        return
    results = {}
    for name in arguments.shapes:
        rounds = [(run_in_process("kit", name, words), run_in_process("plain", name, [])) for _ in range(arguments.rounds)]
        kit, plain = (statistics.median(rates) for rates in zip(*rounds, strict=True))
        results[name] = {
            "kit_tokens_per_second": round(kit, 1),
            "plain_tokens_per_second": round(plain, 1),
            "ratio": round(kit / plain, 2),
        }
    print(
        json.dumps(
            {"machine": platform.machine(), "threads": torch.get_num_threads(), "rounds": arguments.rounds, **results}, indent=1
        )
    )


if __name__ == "__main__":
    main()
