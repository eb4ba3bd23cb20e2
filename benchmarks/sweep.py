"""A sweep of jobs two at a time, against half the sum of the same jobs run alone one after another (target: at most 1.25).

    python benchmarks/sweep.py                              8 jobs, about 30 s of training each
    python benchmarks/sweep.py --jobs 2 --steps 4           a smoke run

Choose --steps so that a job trains for as long as you mean; the wall times and their ratio are printed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds(words: list[str], folder: Path) -> float:
    """Wall time of a command line, start-up included."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "gptkit", *words], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Time the jobs alone, then the sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=300, help="of each job")
    parser.add_argument("words", nargs="*", help="further overrides, such as trainer=gpu model.width=256")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "text.txt").write_text(
            "".join(f"{n} bottles, {n * n % 97} glasses, {n * 7 % 31} guests\n" for n in range(20_000))
        )
        words = ["train", "data=text", "data.path=text.txt", "tokenizer=char", "trainer=cpu", "model.layers=4", "model.width=128"]
        words += ["model.heads=4", "model.context=128", "val.every=0", f"trainer.max_steps={given.steps}", *given.words]
        seconds([*words, "trainer.max_steps=1", "hydra.run.dir=warm"], folder)  # the token shards
        alone = [seconds([*words, f"seed={job}", f"hydra.run.dir=alone/{job}"], folder) for job in range(given.jobs)]
        seeds = "seed=" + ",".join(map(str, range(given.jobs)))
        together = seconds([*words, "-m", seeds, "hydra.sweep.dir=sweep", f"hydra.launcher.n_jobs={given.n_jobs}"], folder)
    share = sum(alone) / given.n_jobs
    print(f"{given.jobs} jobs alone: {sum(alone):.1f} s in all, {min(alone):.1f} to {max(alone):.1f} s each")
    print(f"the sweep, {given.n_jobs} at a time: {together:.1f} s, {together / share:.2f} times {share:.1f} s")


if __name__ == "__main__":
    main()
