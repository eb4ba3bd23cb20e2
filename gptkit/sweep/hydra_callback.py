"""Hydra's callback for sweeps with any launcher: writes every job's status, and compares the jobs at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from gptkit.config.hydra_run import exit_callbacks, record_output_folder
from gptkit.sweep.jobs import Job, find_job_files


class SweepCallback(Callback):
    """Writes `job.json` for jobs that run inside a launcher's Python process. The process launcher writes it itself."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Record the run's folder, for error messages."""
        with contextlib.suppress(OmegaConfBaseException):  # Hydra itself then reports a folder that cannot be resolved
            record_output_folder("hydra.run.dir", Path(str(config.hydra.run.dir)))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Register the report, which prints the table and writes `sweep.html` when the sweep ends, even with an error."""
        with contextlib.suppress(OmegaConfBaseException):
            sweep = Path(str(config.hydra.sweep.dir))
            record_output_folder("hydra.sweep.dir", sweep)
            exit_callbacks.callback(_report, sweep, find_job_files(sweep))

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Record that a job runs."""
        if config.hydra.mode == RunMode.MULTIRUN:
            _make_job(config).mark_started()

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Record how a job ended."""
        if config.hydra.mode != RunMode.MULTIRUN:
            return
        job, result = _make_job(config), job_return._return_value
        if job_return.status == JobStatus.COMPLETED:
            job.mark_ended(0)
        else:
            job.mark_failed(next(iter(str(result).splitlines()), "") or type(result).__name__)


def _report(sweep: Path, earlier: Mapping[Path, int]) -> None:
    from gptkit.sweep.report import report_sweep  # imported here, because matplotlib is slow to import

    report_sweep(sweep, earlier)


def _make_job(config: DictConfig) -> Job:
    return Job(int(config.hydra.job.num), tuple(config.hydra.overrides.task), Path(config.hydra.runtime.output_dir))
