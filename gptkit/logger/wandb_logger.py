"""Lightning's WandbLogger for one run folder, which stores the id of the W&B run. The W&B run ends with the run."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wandb
from lightning.pytorch import loggers

from gptkit.logger.run_id import default_run_name, read_run_id, write_run_id

if TYPE_CHECKING:
    from gptkit.logger import WandbLoggerConfig

_OWN_RUNS: set[str] = set()
"""Ids of the W&B runs that loggers of this process started."""


def build_wandb_logger(config: WandbLoggerConfig, folder: Path, *, step: int) -> WandbLogger:
    """Build the logger and start a W&B run, or resume the one whose id the folder contains.

    Args:
        config: the settings of the logger.
        folder: the logger's folder in the run folder.
        step: the step from which the run resumes; 0 starts a new W&B run.
    """
    run_id = (read_run_id(folder) if step else None) or uuid.uuid4().hex[:8]
    write_run_id(folder, run_id)  # before the W&B run starts, so that a full disk leaves none behind
    logger = WandbLogger(
        save_dir=folder.parent if folder.name == "wandb" else folder,  # W&B adds a subfolder `wandb`
        project=config.project,
        name=config.run_name or default_run_name(folder),
        id=run_id,
        entity=config.entity,
        group=config.group,
        tags=config.tags or None,
        settings=wandb.Settings(console="off", quiet=True, silent=config.offline),  # gptkit prints its own output
        **({"mode": "offline"} if config.offline else {}),
    )
    logger._wandb_init.pop("anonymous", None)  # wandb warns about it for any value
    logger.start()
    return logger


class WandbLogger(loggers.WandbLogger):
    """Logs with the steps of the run, and ends the W&B run with the run. Lightning's would leave it open for the next run."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._is_own_run = False
        self._has_ended = False

    def start(self) -> None:
        """Start the W&B run. A run that the user started before training is used instead, and continues after it."""
        if wandb.run is None:
            self._is_own_run = True
        elif wandb.run.id in _OWN_RUNS:
            self._is_own_run = True
            self._experiment = wandb.init(**self._wandb_init, reinit="create_new")  # beside that of another logger
            self._experiment.define_metric("trainer/global_step")
            self._experiment.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        if self._is_own_run:
            _OWN_RUNS.add(self.experiment.id)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        row = metrics if step is None else {**metrics, "trainer/global_step": step}
        self.experiment.log(dict(row), step=step)

    def finalize(self, status: str) -> None:
        if self._has_ended or self._experiment is None:
            return
        super().finalize(status)
        self._has_ended = True
        if self._is_own_run:
            _OWN_RUNS.discard(self._experiment.id)
            self._experiment.finish(exit_code=0 if status == "success" else 1)
