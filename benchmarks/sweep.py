"""Compare the time of a sweep, two jobs at a time, with half the total time of the same jobs run one by one (target: at most 1.25).

    python benchmarks/sweep.py                              8 jobs, about 30 s of training each
    python benchmarks/sweep.py --alone-threads 1            also run single jobs with one thread each, as in the sweep
    python benchmarks/sweep.py --jobs 2 --seconds 3         a smoke run

A single job uses every core that it can. If that is more than one, two jobs at once cannot take half the time of two jobs in
sequence: `--alone-threads` measures a second reference. The number of steps is what a single job trains in `--seconds`; its
startup time is the time of its process without training.
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
    """The times of one command line in seconds."""

    wall: float
    """Wall time, including startup."""
    processor: float
    """User and system time of all its processes."""
    training: float
    """Training time that the run reports; 0 for a sweep."""

    @property
    def start(self) -> float:
        return self.wall - self.training


def run_timed(words: list[str], folder: Path, run: str = "", threads: int = 0) -> Times:
    """Run `gptkit <words>` in the folder.

    Args:
        words: the command line.
        folder: the current folder of the process.
        run: its run folder; empty for a sweep.
        threads: maximum number of threads; 0: no limit.
    """
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
    """Return the training time in a run's summary.json."""
    return float(json.loads((run / "summary.json").read_text())["wall_seconds"])


def alone(words: list[str], folder: Path, arguments: argparse.Namespace, threads: int) -> list[Times]:
    """Run every job of the sweep by itself, one after another."""
    return [run_timed([*words, f"seed={job}"], folder, f"alone-{threads}/{job}", threads) for job in range(arguments.jobs)]


def describe(times: list[Times]) -> str:
    """Format the total time, and the means of its components."""
    names = ("wall", "training", "start", "processor")
    wall, training, start, processor = (sum(getattr(each, name) for each in times) / len(times) for name in names)
    return (
        f"{wall * len(times):.1f} s in all; each {wall:.1f} s, of which training {training:.1f} s and start {start:.1f} s, "
        f"on {processor / wall:.2f} cores"
    )


def main() -> None:
    """Determine the number of steps, then measures the single jobs and the sweep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=30.0, help="training time of a single job on all cores")
    parser.add_argument("--steps", type=int, help="steps of each job, instead of --seconds")
    parser.add_argument("--alone-threads", type=int, default=0, help="run the single jobs a second time with this many threads")
    parser.add_argument("words", nargs="*", help="further overrides, such as trainer=gpu model.width=256")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "text.txt").write_text(
            "".join(f"{n} bottles, {n * n % 97} glasses, {n * 7 % 31} guests\n" for n in range(20_000))
        )
        words = ["train", "data=text", "data.path=text.txt", "tokenizer=char", "trainer=cpu", "model.layers=4", "model.width=128"]
        words += ["model.heads=4", "model.context=128", "val.every=0", *arguments.words]
        run_timed([*words, "trainer.max_steps=1"], folder, "shards")  # caches the token shards
        steps = arguments.steps
        if steps is None:
            probe = run_timed([*words, f"trainer.max_steps={PROBE_STEPS}"], folder, "probe")
            steps = max(round(PROBE_STEPS * arguments.seconds / probe.training), 1)
        words += [f"trainer.max_steps={steps}"]
        references = {threads: alone(words, folder, arguments, threads) for threads in dict.fromkeys([0, arguments.alone_threads])}
        seeds = "seed=" + ",".join(map(str, range(arguments.jobs)))
        together = run_timed([*words, "-m", seeds, "hydra.sweep.dir=sweep", f"hydra.launcher.n_jobs={arguments.n_jobs}"], folder)
        training = [training_seconds(folder / "sweep" / str(job)) for job in range(arguments.jobs)]
    startup = together.wall - sum(training) / arguments.n_jobs
    print(f"{arguments.jobs} jobs of {steps} steps, {arguments.n_jobs} at a time")
    print(f"the sweep: {together.wall:.1f} s, on {together.processor / together.wall:.2f} cores")
    print(
        f"  training {sum(training) / arguments.jobs:.1f} s each, startup {startup / arguments.jobs * arguments.n_jobs:.1f} s each"
    )
    for threads, times in references.items():
        share = sum(each.wall for each in times) / arguments.n_jobs
        print(f"alone, {f'{threads} thread(s)' if threads else 'all cores'}: {describe(times)}")
        print(f"  the sweep takes {together.wall / share:.2f} times {share:.1f} s, their sum over {arguments.n_jobs}")


if __name__ == "__main__":
    main()
