"""A sweep of jobs two at a time, against half the sum of the same jobs run alone one after another (target: at most 1.25).

    python benchmarks/sweep.py                              8 jobs, about 30 s of training each
    python benchmarks/sweep.py --alone-threads 1            the jobs alone also with one thread each, as they have in the sweep
    python benchmarks/sweep.py --jobs 2 --seconds 3         a smoke run

A job alone takes every core that it can use, and where that is more than one, two at once cannot take half the time of two in turn:
`--alone-threads` measures a second reference. The number of steps is what one job alone trains in `--seconds`; its start is what
its process takes beside training.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PROBE_STEPS = 100


@dataclass
class Times:
    """Of one command line, in seconds."""

    wall: float
    """With its start."""
    processor: float
    """User and system time of all its processes."""
    training: float
    """What the run itself says; 0 where it is a sweep."""

    @property
    def start(self) -> float:
        return self.wall - self.training


def timed(words: list[str], folder: Path, run: str = "", threads: int = 0) -> Times:
    """Run `gptkit <words>` in the folder; `run` is its run folder, `threads` what it may use (0: as many as it takes)."""
    variables = {key: value for key, value in os.environ.items() if key not in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS")}
    if threads:
        variables |= {"OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}
    if run:
        words = [*words, f"hydra.run.dir={run}"]
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "gptkit", *words], cwd=folder, env=variables, check=True, capture_output=True)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Times(wall, processor, training_seconds(folder / run) if run else 0.0)


def training_seconds(run: Path) -> float:
    """What summary.json says of a run."""
    return float(json.loads((run / "summary.json").read_text())["wall_seconds"])


def alone(words: list[str], folder: Path, given: argparse.Namespace, threads: int) -> list[Times]:
    """Every job of the sweep by itself, one after another."""
    return [timed([*words, f"seed={job}"], folder, f"alone-{threads}/{job}", threads) for job in range(given.jobs)]


def described(times: list[Times]) -> str:
    """The sum, and the mean of what it consists of."""
    names = ("wall", "training", "start", "processor")
    wall, training, start, processor = (sum(getattr(each, name) for each in times) / len(times) for name in names)
    return (
        f"{wall * len(times):.1f} s in all; each {wall:.1f} s, of which training {training:.1f} s and start {start:.1f} s, "
        f"on {processor / wall:.2f} cores"
    )


def main() -> None:
    """Find the number of steps, time the jobs alone, then the sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30.0, help="of training of each job, alone with all cores")
    parser.add_argument("--steps", type=int, help="of each job, instead of --seconds")
    parser.add_argument("--alone-threads", type=int, default=0, help="run the jobs alone a second time, with this many threads")
    parser.add_argument("words", nargs="*", help="further overrides, such as trainer=gpu model.width=256")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "text.txt").write_text(
            "".join(f"{n} bottles, {n * n % 97} glasses, {n * 7 % 31} guests\n" for n in range(20_000))
        )
        words = ["train", "data=text", "data.path=text.txt", "tokenizer=char", "trainer=cpu", "model.layers=4", "model.width=128"]
        words += ["model.heads=4", "model.context=128", "val.every=0", *given.words]
        timed([*words, "trainer.max_steps=1"], folder, "shards")  # text and tokens are on disk from here on
        steps = given.steps
        if steps is None:
            probe = timed([*words, f"trainer.max_steps={PROBE_STEPS}"], folder, "probe")
            steps = max(round(PROBE_STEPS * given.seconds / probe.training), 1)
        words += [f"trainer.max_steps={steps}"]
        references = {threads: alone(words, folder, given, threads) for threads in dict.fromkeys([0, given.alone_threads])}
        seeds = "seed=" + ",".join(map(str, range(given.jobs)))
        together = timed([*words, "-m", seeds, "hydra.sweep.dir=sweep", f"hydra.launcher.n_jobs={given.n_jobs}"], folder)
        training = [training_seconds(folder / "sweep" / str(job)) for job in range(given.jobs)]
    beside = together.wall - sum(training) / given.n_jobs
    print(f"{given.jobs} jobs of {steps} steps, {given.n_jobs} at a time")
    print(f"the sweep: {together.wall:.1f} s, on {together.processor / together.wall:.2f} cores")
    print(f"  training {sum(training) / given.jobs:.1f} s each, starts {beside / given.jobs * given.n_jobs:.1f} s each")
    for threads, times in references.items():
        share = sum(each.wall for each in times) / given.n_jobs
        print(f"alone, {f'{threads} thread(s)' if threads else 'all cores'}: {described(times)}")
        print(f"  the sweep takes {together.wall / share:.2f} times {share:.1f} s, their sum over {given.n_jobs}")


if __name__ == "__main__":
    main()
