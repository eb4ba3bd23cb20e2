"""Lightning's TensorBoardLogger for one run folder. Its writer works in a thread; errors there are raised by the next call here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.logger import _flatten_dict
from lightning.pytorch import loggers
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from gptkit.atomic_io import wrap_os_errors

SHOWN = {"train/loss": 0.0, "val/loss": 0.0}
"""The metrics that TensorBoard shows beside the hyperparameters. TensorBoard reads their values from the curves."""


class TensorBoardLogger(loggers.TensorBoardLogger):
    """Writes event files directly into its folder."""

    def __init__(self, folder: Path, *, step: int, flush_secs: int) -> None:
        """
        Args:
            folder: the folder of the event files.
            step: the step from which the run resumes; TensorBoard ignores later steps in earlier files. 0 for a new run.
            flush_secs: as in torch's SummaryWriter.
        """
        options: dict[str, Any] = {"flush_secs": flush_secs, **({"purge_step": step + 1} if step else {})}
        super().__init__(str(folder), name="", version="", **options)
        self.folder = folder
        self._hook: Callable[[Any], Any] | None = None

    @property
    def log_dir(self) -> str:
        return str(self.folder)

    @property
    def experiment(self) -> SummaryWriter:
        if self._experiment is None:
            self._hook, threading.excepthook = threading.excepthook, self._excepthook
            try:
                with wrap_os_errors(self.folder):
                    self._experiment = SummaryWriter(self.log_dir, **self._kwargs)
            except BaseException:
                self._unhook()
                raise
        return self._experiment

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        with wrap_os_errors(self.folder):
            for name, value in metrics.items():
                self.experiment.add_scalar(name, value, global_step=step)

    def log_hyperparams(self, params: Any, metrics: Any = None, step: int | None = None) -> None:
        plain = self._sanitize_params(_flatten_dict(params))
        with wrap_os_errors(self.folder):
            for summary in hparams(plain, SHOWN):  # type: ignore[no-untyped-call]
                self.experiment._get_file_writer().add_summary(summary, step)  # type: ignore[no-untyped-call]

    def save(self) -> None:
        with wrap_os_errors(self.folder):
            self.experiment.flush()

    def finalize(self, status: str) -> None:
        if self._experiment is None:
            return
        try:
            with wrap_os_errors(self.folder):
                self._experiment.close()
        finally:
            self._unhook()

    def _excepthook(self, failed: Any) -> None:
        """Print no traceback of the writer's thread: the next call raises its error."""
        ours = isinstance(failed.exc_value, OSError) and type(failed.thread).__module__.startswith("tensorboard.")
        if not ours:
            (self._hook or threading.__excepthook__)(failed)

    def _unhook(self) -> None:
        """Restore the hook, unless another one was set later, which calls this one."""
        if self._hook is not None and threading.excepthook == self._excepthook:
            threading.excepthook, self._hook = self._hook, None
