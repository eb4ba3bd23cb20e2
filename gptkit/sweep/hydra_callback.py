"""What Hydra calls during a sweep with any launcher: every job leaves a note in its folder, and the comparison comes last."""

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
from gptkit.sweep.jobs import Job, notes_in


class Comparison(Callback):
    """Writes `job.json` for jobs that a launcher runs inside Python; the process launcher writes that of its own."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note where the run writes."""
        with contextlib.suppress(OmegaConfBaseException):  # a folder that cannot be told is Hydra's own error, right after this
            record_output_folder("hydra.run.dir", Path(str(config.hydra.run.dir)))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Have the table printed and `sweep.html` written when the sweep ends, also with an error."""
        with contextlib.suppress(OmegaConfBaseException):
            sweep = Path(str(config.hydra.sweep.dir))
            record_output_folder("hydra.sweep.dir", sweep)
            exit_callbacks.callback(_compare, sweep, notes_in(sweep))

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note that a job runs."""
        if config.hydra.mode == RunMode.MULTIRUN:
            _job(config).begin()

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Note how a job ended."""
        if config.hydra.mode != RunMode.MULTIRUN:
            return
        job, given = _job(config), job_return._return_value
        if job_return.status == JobStatus.COMPLETED:
            job.end(0)
        else:
            job.fail(next(iter(str(given).splitlines()), "") or type(given).__name__)


def _compare(sweep: Path, earlier: Mapping[Path, int]) -> None:
    from gptkit.sweep.report import compare  # at the end: what draws is slow to import

    compare(sweep, earlier)


def _job(config: DictConfig) -> Job:
    return Job(int(config.hydra.job.num), tuple(config.hydra.overrides.task), Path(config.hydra.runtime.output_dir))
