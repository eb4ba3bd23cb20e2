"""TensorBoard's copy of a run's numbers and texts. Its writer works in a thread; what goes wrong there is raised here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gptkit.atomic_io import wrap_os_errors

FOLDER = "tensorboard"


class TensorBoard:
    """Writes into <run folder>/tensorboard; to be closed."""

    def __init__(self, folder: Path, *, purge_step: int | None) -> None:
        """Args:
        folder: the run folder.
        purge_step: the step from which on what earlier files hold no longer counts; None: nothing was written before.

        Raises:
            GptkitError: it cannot be written, as when the disk is full.
        """
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder / FOLDER
        self._hook: Callable[[Any], Any] | None = threading.excepthook
        threading.excepthook = self._excepthook
        try:
            with wrap_os_errors(self.folder):
                self._writer = SummaryWriter(str(self.folder), purge_step=purge_step)
        except BaseException:
            self._unhook()
            raise

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Add a point of a curve."""
        with wrap_os_errors(self.folder):
            self._writer.add_scalar(name, value, global_step=step)

    def add_text(self, title: str, text: str, step: int) -> None:
        """Add a text of a step."""
        with wrap_os_errors(self.folder):
            self._writer.add_text(title, text, global_step=step)

    def flush(self) -> None:
        """Have everything so far written."""
        with wrap_os_errors(self.folder):
            self._writer.flush()

    def close(self) -> None:
        """No more of it."""
        try:
            with wrap_os_errors(self.folder):
                self._writer.close()
        finally:
            self._unhook()

    def _excepthook(self, failed: Any) -> None:
        """Print no traceback of the writer's thread: the next call raises its error."""
        ours = isinstance(failed.exc_value, OSError) and type(failed.thread).__module__.startswith("tensorboard.")
        if not ours and self._hook is not None:
            self._hook(failed)

    def _unhook(self) -> None:
        if self._hook is not None:
            threading.excepthook = self._hook
            self._hook = None
