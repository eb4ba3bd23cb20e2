"""The jobs of a sweep: skipped and failed jobs, the division of the machine, and the comparison of runs."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from gptkit.errors import ConfigError, GptkitError
from gptkit.sweep.jobs import Job, lock_folder, read_jobs
from gptkit.sweep.launch import _make_job, job_result
from gptkit.sweep.process import divide_machine, job_command, job_environment
from gptkit.sweep.report import report_sweep, swept_keys
from gptkit.training.reporting.ranking import best_of, rank
from gptkit.training.reporting.summary import read_summary, value_to_minimize, write_summary


def job(folder: Path, number: int, *overrides: str, exit_status: int = 0, **summary: object) -> Job:
    """A job whose process has ended."""
    created = Job(number, overrides, folder / str(number))
    created.mark_started()
    (created.folder / "summary.json").write_text(json.dumps(summary))
    created.log.write_text("some lines\n\ngptkit: the reason\n")
    created.mark_ended(exit_status)
    return created


def sweep_page(folder: Path) -> str:
    report_sweep(folder, {})
    return (folder / "sweep.html").read_text(encoding="utf-8")


def test_only_a_finished_job_with_the_same_overrides_is_skipped(tmp_path: Path) -> None:
    job(tmp_path, 0, "seed=1", val_loss=2.0)
    again = Job(0, ("seed=1",), tmp_path / "0")
    assert again.reuse_finished_run()
    assert (again.status, value_to_minimize(again.summary)) == ("finished", 2.0)
    assert not Job(0, ("seed=2",), tmp_path / "0").reuse_finished_run()
    assert not Job(3, ("seed=1",), tmp_path / "absent").reuse_finished_run()
    for number, exit_status in ((4, 1), (5, 143), (6, -15)):
        job(tmp_path, number, "seed=1", exit_status=exit_status)
        assert not Job(number, ("seed=1",), tmp_path / str(number)).reuse_finished_run()


def test_nan_loss_is_minimized_as_infinity(tmp_path: Path) -> None:
    figures: dict[str, Any] = {"parameters": 1, "tokens": 1, "steps": 1, "tokens_per_second": None, "mfu": None}
    figures |= {"wall_seconds": 1.0, "peak_memory_bytes": 1, "finished": True}
    for train_loss, val_loss, least in ((0.5, math.nan, math.inf), (math.nan, None, math.inf), (0.5, None, 0.5), (0.5, 2.0, 2.0)):
        write_summary(tmp_path, train_loss=train_loss, val_loss=val_loss, **figures)
        assert value_to_minimize(read_summary(tmp_path)) == least


def test_run_that_reached_its_time_limit_is_resumed(tmp_path: Path) -> None:
    ended = job(tmp_path, 0, "seed=1", val_loss=2.0, finished=False)
    assert (ended.status, value_to_minimize(ended.summary)) == ("stopped", 2.0)
    assert not Job(0, ("seed=1",), tmp_path / "0").reuse_finished_run()
    assert job(tmp_path, 0, "seed=1", val_loss=1.0, finished=True).status == "finished"


def test_sweeper_gets_the_loss_of_a_run_that_reached_its_time_limit(tmp_path: Path) -> None:
    assert job_result(job(tmp_path, 0, "seed=1", val_loss=2.0, finished=False)).return_value == 2.0
    unmeasured = job(tmp_path, 1, "seed=2", train_loss=0.02, compared_by="val_score", finished=False)
    assert job_result(unmeasured).return_value == math.inf  # training losses would be lower than all validation losses
    assert job_result(job(tmp_path, 2, "seed=3", train_loss=3.0, finished=True)).return_value == 3.0
    with pytest.raises(GptkitError, match=r"job 1 \(seed=1\) failed: the reason; see .*log.txt"):
        _ = job_result(job(tmp_path, 1, "seed=1", exit_status=1)).return_value
    with pytest.raises(GptkitError, match=r"job 2 \(seed=1\) stopped"):
        _ = job_result(job(tmp_path, 2, "seed=1", exit_status=143)).return_value


def test_failed_job_reports_its_last_log_line_and_stopped_job_is_not_failed(tmp_path: Path) -> None:
    failed = job(tmp_path, 0, "seed=1", exit_status=2)
    assert (failed.status, failed.error) == ("failed", "the reason")
    assert job(tmp_path, 1, "seed=1", exit_status=143).status == "stopped"
    assert [one.status for one in read_jobs(tmp_path)] == ["failed", "stopped"]


def test_job_that_outlives_its_sweep_is_still_running(tmp_path: Path) -> None:
    held = lock_folder(tmp_path)
    assert held is not None
    assert lock_folder(tmp_path) is None
    os.close(held)
    free = lock_folder(tmp_path)
    assert free is not None
    os.close(free)


def test_job_command_overrides_multirun_of_the_configuration(tmp_path: Path) -> None:
    words = job_command("train", ["--config-dir=here"], job(tmp_path, 4, "+gpt2=124m"))
    assert words[1:7] == ["-m", "gptkit", "--config-name", "train", "--config-dir=here", "+gpt2=124m"]
    assert words[-2:] == ["hydra.job.num=4", "hydra.mode=RUN"]


def test_folder_with_quotation_marks_is_quoted_in_the_command(tmp_path: Path) -> None:
    words = job_command("train", [], Job(0, (), Path("out/data.path='x.txt',seed=1")))
    parsed = OverridesParser.create().parse_override(next(word for word in words if word.startswith("hydra.run.dir=")))
    assert parsed.value() == "out/data.path='x.txt',seed=1"


def test_summary_of_another_run_in_the_folder_is_not_the_jobs(tmp_path: Path) -> None:
    """In the folder of another sweep, the job fails, and does not adopt the loss of the old run."""
    job(tmp_path, 0, "optimizer.lr=1e-3", val_loss=2.0)
    refused = Job(0, ("optimizer.lr=3e-3",), tmp_path / "0")
    for status in ("waiting", "running"):
        refused.mark_started(status)
        assert read_jobs(tmp_path)[0].summary == {}
    refused.mark_ended(2)
    assert (refused.status, refused.summary, read_jobs(tmp_path)[0].summary) == ("failed", {}, {})
    longer = Job(0, ("optimizer.lr=1e-3", "tokens=200"), tmp_path / "0")
    longer.mark_started()
    longer.mark_ended(0)  # the run was resumed with these overrides
    assert read_jobs(tmp_path)[0].summary["val_loss"] == 2.0


def test_error_of_a_job_suggests_another_sweep_folder(tmp_path: Path) -> None:
    job(tmp_path, 0, "seed=1")
    refused = Job(0, ("seed=2",), tmp_path / "0")
    refused.mark_started()
    refused.log.write_text("gptkit: 0 holds a run with other settings (seed: 1 -> 2); give those, or another hydra.run.dir\n")
    refused.mark_ended(2)
    assert refused.error.endswith("or another hydra.sweep.dir")
    with pytest.raises(ConfigError, match=r"job 0 \(seed=2\) failed: 0 holds a run"):  # exit status 2, as without a sweep
        _ = job_result(refused).return_value


def test_failed_job_is_not_the_best(tmp_path: Path) -> None:
    jobs = [job(tmp_path, 0, "seed=0", exit_status=1, val_loss=1.0), job(tmp_path, 1, "seed=1", val_loss=2.0)]
    assert [one.number for one in rank(jobs)] == [1, 0]
    assert [one.number for one in best_of(rank(jobs))] == [1]
    assert best_of([jobs[0]]) == []


def test_killed_job_reports_the_signal(tmp_path: Path) -> None:
    assert job(tmp_path, 0, "seed=0", exit_status=-9).error == "killed by signal 9"


def test_job_environment_has_no_distributed_variables() -> None:
    variables = {"PATH": "/bin", "LOCAL_RANK": "1", "MASTER_PORT": "1234", "TORCHELASTIC_RUN_ID": "x", "SLURM_NTASKS": "2"}
    assert job_environment(variables, {"OMP_NUM_THREADS": "1"}) == {"PATH": "/bin", "OMP_NUM_THREADS": "1"}


def test_gpus_are_divided_among_slots() -> None:
    slots = divide_machine(2, {"CUDA_VISIBLE_DEVICES": "0,1,2,3"})
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots] == ["0,2", "1,3"]
    assert "CUDA_VISIBLE_DEVICES" not in divide_machine(1, {"CUDA_VISIBLE_DEVICES": "0,1"})[0]


def test_cores_are_divided_and_a_smaller_user_setting_is_kept() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = str(max(cores // 2, 1))
    assert divide_machine(2, {}) == [{"OMP_NUM_THREADS": share, "RAYON_NUM_THREADS": share}] * 2
    assert divide_machine(1, {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "9999"}) == [
        {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": str(cores)}
    ]


def test_job_folders_named_by_number_need_no_composition() -> None:
    config = OmegaConf.create({"hydra": {"sweep": {"dir": "out", "subdir": "${hydra.job.num}"}, "job": {"num": "???"}}})
    created = _make_job(config, None, ["model.layers=2"], 3)  # Hydra would not have to compose anything
    assert (created.number, created.overrides, created.folder) == (3, ("model.layers=2",), Path("out/3"))


def test_runs_are_listed_best_first_with_their_differing_keys(tmp_path: Path) -> None:
    jobs = [
        job(tmp_path, 0, "optimizer.lr=1e-3", "seed=1", val_loss=2.0),
        job(tmp_path, 1, "optimizer.lr=3e-3", "seed=1", val_loss=1.5),
        job(tmp_path, 2, "optimizer.lr=1", "seed=1", exit_status=1),
    ]
    assert swept_keys(jobs) == ["optimizer.lr"]
    assert [one.number for one in rank(jobs)] == [1, 0, 2]
    page = sweep_page(tmp_path)
    assert page.index("3e-3") < page.index("1e-3")
    assert page.count("failed: the reason") == page.count("the reason") == 1
    assert 'href="1/log.txt"' in page
    assert "Validation loss against optimizer.lr" in page


def test_equal_losses_share_a_rank(tmp_path: Path) -> None:
    for number, (rate, loss) in enumerate([("1e-3", 1.50001), ("1e-3", 1.50003), ("3e-3", 1.6)]):
        job(tmp_path, number, f"optimizer.lr={rate}", f"seed={number}", val_loss=loss)
    page = sweep_page(tmp_path)
    assert "best validation loss, a tie of 2 jobs" in page
    assert "optimizer.lr of the best" in page  # they share it
    assert "seed of the best" not in page
    assert page.count('<tr class="best"') == 2


def test_metrics_with_intervals_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged: dict[str, Any] = {
        "val_loss": 2.0,
        "val_accuracy": 0.75,
        "val_accuracy_low": 0.5,
        "val_accuracy_high": 1.0,
        "val_f1": 0.7,
    }
    job(tmp_path, 0, "objective.lm_weight=0", **judged)
    job(tmp_path, 1, "objective.lm_weight=0.5", exit_status=1)
    report_sweep(tmp_path, {})
    heading, first, *_ = capsys.readouterr().out.splitlines()
    assert heading.split()[:4] == ["job", "objective.lm_weight", "val_loss", "val_accuracy"]
    assert "accuracy_low" not in heading
    assert "0.7500 (0.500 to" in first
    assert "0.7500 (0.500 to 1.000)" in sweep_page(tmp_path)


def test_jobs_are_compared_by_the_monitored_metric(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The loss of PPO depends on the swept kl_coef, so runs are compared by the judge."""
    figures = [(0.02, -3.0, 1.5, 0.4), (0.1, -1.0, 1.0, 0.6)]
    jobs = [
        job(
            tmp_path,
            number,
            f"objective.kl_coef={weight}",
            val_loss=loss,
            val_score=score,
            val_kl=3.0,
            val_judge=judge,
            compared_by="val_judge",
        )
        for number, (weight, loss, score, judge) in enumerate(figures)
    ]
    assert [one.number for one in rank(jobs)] == [1, 0]
    assert job_result(jobs[0]).return_value == -0.4  # the value that a sweeper minimises
    report_sweep(tmp_path, {})
    heading, *_ = capsys.readouterr().out.splitlines()
    assert heading.split()[1:6] == ["objective.kl_coef", "val_judge", "val_loss", "val_score", "val_kl"]
    page = sweep_page(tmp_path)
    assert "highest validation judge first" in page
    assert "best validation judge, job 1" in page
    assert "Validation judge against objective.kl_coef" in page
    mixed = [*jobs, job(tmp_path, 2, "objective=lm", val_loss=2.5)]
    assert [one.number for one in rank(mixed)] == [0, 1, 2]  # all runs have only the loss in common


def test_monitored_metric_can_be_better_when_lower(tmp_path: Path) -> None:
    monitor: dict[str, Any] = {"compared_by": "val_error", "compared_mode": "min"}
    jobs = [job(tmp_path, number, val_loss=1.0, val_error=error, **monitor) for number, error in enumerate((0.6, 0.4))]
    assert [one.number for one in rank(jobs)] == [1, 0]
    assert job_result(jobs[1]).return_value == 0.4
    assert "lowest validation error first" in sweep_page(tmp_path)
