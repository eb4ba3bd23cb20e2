"""Measure the seconds of the process `gptkit train +speedrun=shakespeare_char`, including imports, and its final loss.

    python benchmarks/speedrun.py shakespeare.txt            the text of Shakespeare's plays, 1,115,394 characters
    python benchmarks/speedrun.py shakespeare.txt --rounds 5

The last tenth of the text is held out; the target loss is 1.8857 nats per character. Prints JSON with the median of several
rounds, each of which tokenizes the text again. Exits with status 1 if a round misses the target.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET = 1.8857


def one_round(text: str, words: list[str]) -> tuple[float, float]:
    """Return the seconds of the process, and its final validation loss."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "gptkit", "train", "+speedrun=shakespeare_char", f"data.path={text}"]
        start = time.perf_counter()
        subprocess.run(
            [*command, f"hydra.run.dir={folder}/run", *words],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "GPTKIT_CACHE": f"{folder}/cache"},
        )
        seconds = time.perf_counter() - start
        return seconds, float(json.loads((Path(folder) / "run" / "summary.json").read_text())["val_loss"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text")
    parser.add_argument("--rounds", type=int, default=3)
    arguments, words = parser.parse_known_args()
    rounds = [one_round(str(Path(arguments.text).resolve()), words) for _ in range(arguments.rounds)]
    seconds, losses = zip(*rounds, strict=True)
    print(
        json.dumps(
            {"seconds": round(statistics.median(seconds), 2), "val_losses": losses, "target": TARGET, "rounds": arguments.rounds}
        )
    )
    sys.exit(any(loss > TARGET for loss in losses))


if __name__ == "__main__":
    main()
