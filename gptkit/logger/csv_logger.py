"""Lightning's CSVLogger for one run folder. It continues an existing file, which Lightning's would delete."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from lightning.pytorch import loggers
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from gptkit.atomic_io import move_aside, wrap_os_errors, write_file

MAX_DIGITS = 19
"""No run has a step of so many digits."""


class CSVLogger(loggers.CSVLogger):
    """Writes `metrics.csv` and `hparams.yaml` directly into its folder, without buffering."""

    def __init__(self, folder: Path, *, step: int) -> None:
        """
        Args:
            folder: the folder of the files.
            step: the step from which the run resumes. Rows of later steps are removed; 0: all rows.
        """
        super().__init__(str(folder), name="", version="", flush_logs_every_n_steps=1)
        self.folder = folder
        with wrap_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._experiment = _ContinuingWriter(folder, step)

    @property
    def log_dir(self) -> str:
        return str(self.folder)

    def save(self) -> None:
        with wrap_os_errors(self.folder):
            super().save()


class _ContinuingWriter(ExperimentWriter):
    """A writer that keeps the existing rows up to a step."""

    def __init__(self, folder: Path, step: int) -> None:
        self._step = step
        super().__init__(log_dir=str(folder))

    def _check_log_dir_exists(self) -> None:
        """Lightning's class calls this method before it writes. Its own method deletes the file."""
        path = Path(self.metrics_file_path)
        if not path.is_file():
            return
        try:
            with path.open(newline="", encoding="utf-8", errors="replace") as file:
                reader = csv.DictReader(file)
                columns = list(reader.fieldnames or [])
                rows = [row for row in reader if self._is_kept(row)]
        except csv.Error as error:
            move_aside(path, error)
            return
        if columns and "step" not in columns:
            move_aside(path, "has no column step")
        elif not rows:
            path.unlink()
        else:
            self.metrics_keys = columns
            text = io.StringIO()
            writer = csv.DictWriter(text, fieldnames=columns)
            writer.writeheader()
            writer.writerows(rows)
            write_file(path, text.getvalue())

    def _is_kept(self, row: dict[str, str]) -> bool:
        """Return whether a row is complete and of a step up to the given one. The last row of a killed run may be incomplete."""
        number = row.get("step") or ""
        is_complete = None not in row and None not in row.values()
        return is_complete and number.isdecimal() and len(number) < MAX_DIGITS and int(number) <= self._step
