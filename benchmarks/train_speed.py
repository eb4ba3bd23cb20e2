"""How fast the kit trains, against a plain PyTorch loop of the same shape on the same machine.

    python benchmarks/train_speed.py                       GPT-2 124M (one sequence of 1024) and a small character model
    python benchmarks/train_speed.py --shapes characters --rounds 5

Tokens a second, medians of rounds in which both take turns, each in a process of its own, because the kit sets the allocator of its
process. The kit runs as `gptkit train` would, with its logs and pages, on the embedded speeches; precision is what it chooses for
the machine. The plain loop (plain_loop.py) is fp32 and sets nothing. The first steps, which warm up, are left out. Prints JSON.
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


def rate_of_kit(name: str, words: list[str]) -> float:
    """What summary.json says: the median over windows between log rows, the first left out."""
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


def in_a_process(side: str, name: str, words: list[str]) -> float:
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
        print(rate_of_plain(name) if arguments.side == "plain" else rate_of_kit(name, words))
        return
    found = {}
    for name in arguments.shapes:
        rounds = [(in_a_process("kit", name, words), in_a_process("plain", name, [])) for _ in range(arguments.rounds)]
        kit, plain = (statistics.median(rates) for rates in zip(*rounds, strict=True))
        found[name] = {
            "kit_tokens_per_second": round(kit, 1),
            "plain_tokens_per_second": round(plain, 1),
            "ratio": round(kit / plain, 2),
        }
    print(
        json.dumps(
            {"machine": platform.machine(), "threads": torch.get_num_threads(), "rounds": arguments.rounds, **found}, indent=1
        )
    )


if __name__ == "__main__":
    main()
