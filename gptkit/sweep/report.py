"""The report of a sweep: a table on standard output and the page `sweep.html`, with the best job first.

Jobs are compared by validation loss, or by the metric that their objective monitors instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gptkit.sweep.jobs import Job, read_jobs
from gptkit.training.reporting.comparison import ComparedRun, read_run, write_comparison
from gptkit.training.reporting.comparison_table import print_comparison, print_page_path
from gptkit.training.reporting.config_difference import round_numbers

_MAX_LABEL_LENGTH = 60


def report_sweep(sweep: Path, earlier: Mapping[Path, int]) -> None:
    """Print the table and write the page of a sweep's jobs, unless no job has started. `earlier`: see `read_jobs`."""
    jobs = read_jobs(sweep, earlier)
    if not jobs:
        return
    runs, keys = compared_runs(jobs), swept_keys(jobs)
    print_comparison(runs, keys, noun="job")
    common = {word for word in jobs[0].overrides if all(word in job.overrides for job in jobs)}
    path = sweep / "sweep.html"
    write_comparison(path, f"Sweep {sweep.name}", runs, keys=keys, noun="job", common=" ".join(sorted(common)))
    print_page_path(f"The sweep's page is {path}")


def swept_keys(jobs: Sequence[Job]) -> list[str]:
    """Return the keys whose values differ between jobs, in the order of the command line."""
    keys = dict.fromkeys(key for job in jobs for key in override_values(job))
    return [key for key in keys if len({override_values(job).get(key) for job in jobs}) > 1]


def override_values(job: Job) -> dict[str, str]:
    """Return the job's overrides as values by key."""
    return {key.lstrip("+"): value for key, _, value in (word.partition("=") for word in job.overrides)}


def compared_runs(jobs: Sequence[Job]) -> list[ComparedRun]:
    """Read the runs of the jobs, each labelled by the values of the swept keys."""
    keys = swept_keys(jobs)
    shown = [round_numbers([override_values(job).get(key, "-") for job in jobs]) for key in keys]
    runs = []
    for number, job in enumerate(jobs):
        run = read_run(str(job.number), job.folder)
        if job.has_other_overrides:  # the files in the folder belong to another run
            run = ComparedRun(run.name, job.folder, job.status)
        if job.error and job.error not in run.messages:
            run.messages = [job.error, *run.messages]
        run.status, run.summary, run.labels = job.status, job.summary, override_values(job)
        values = ", ".join(column[number] for column in shown)
        run.label = f"{job.number}: {values}"[:_MAX_LABEL_LENGTH] if values else run.name
        runs.append(run)
    return runs
