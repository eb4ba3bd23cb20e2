"""A sweep's jobs: what is skipped, what fails, how the machine is shared, and how the runs are compared."""

from __future__ import annotations

import json
from pathlib import Path

from gptkit.sweep.jobs import Job, command, shares
from gptkit.sweep.report import best_first, swept_keys, write_page


def job(folder: Path, number: int, *overrides: str, **summary: object) -> Job:
    made = Job(number, overrides, folder / str(number))
    made.folder.mkdir()
    (made.folder / "overrides.json").write_text(json.dumps(list(overrides)))
    (made.folder / "summary.json").write_text(json.dumps(summary))
    made.log.write_text("some lines\n\ngptkit: the reason\n")
    return made


def test_only_the_finished_run_of_the_same_words_is_skipped(tmp_path: Path) -> None:
    assert job(tmp_path, 0, "seed=1", finished=True).finished_before()
    assert not job(tmp_path, 1, "seed=1", finished=False).finished_before()
    other = job(tmp_path, 2, "seed=1", finished=True)
    other.overrides = ("seed=2",)
    assert not other.finished_before()
    assert not Job(3, ("seed=1",), tmp_path / "absent").finished_before()


def test_a_failed_job_keeps_the_last_line_that_it_printed(tmp_path: Path) -> None:
    failed = job(tmp_path, 0, "seed=1")
    failed.end(2)
    assert (failed.status, failed.error) == ("failed", "gptkit: the reason")


def test_a_jobs_process_runs_once_whatever_the_configuration_says(tmp_path: Path) -> None:
    words = command("train", ["--config-dir=here"], job(tmp_path, 4, "+gpt2=124m"))
    assert words[1:7] == ["-m", "gptkit", "--config-name", "train", "--config-dir=here", "+gpt2=124m"]
    assert words[-2:] == ["hydra.job.num=4", "hydra.mode=RUN"]


def test_gpus_are_shared_out() -> None:
    places = shares(2, {"CUDA_VISIBLE_DEVICES": "0,1,2,3"})
    assert [place["CUDA_VISIBLE_DEVICES"] for place in places] == ["0,2", "1,3"]
    assert "CUDA_VISIBLE_DEVICES" not in shares(1, {"CUDA_VISIBLE_DEVICES": "0,1"})[0]


def test_runs_are_compared_best_first_by_what_differs(tmp_path: Path) -> None:
    jobs = [
        job(tmp_path, 0, "optimizer.lr=1e-3", "seed=1", val_loss=2.0, finished=True),
        job(tmp_path, 1, "optimizer.lr=3e-3", "seed=1", val_loss=1.5, finished=True),
        job(tmp_path, 2, "optimizer.lr=1", "seed=1"),
    ]
    for one, status in zip(jobs, (0, 0, 1), strict=True):
        one.end(status)
    assert swept_keys(jobs) == ["optimizer.lr"]
    assert [one.number for one in best_first(jobs)] == [1, 0, 2]
    page = write_page(tmp_path, jobs).read_text()
    assert page.index("3e-3") < page.index("1e-3")
    assert "gptkit: the reason" in page
