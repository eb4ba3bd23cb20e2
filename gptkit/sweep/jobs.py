"""One job of a sweep: its command, its folder, whether it is finished, and the share of the machine that it gets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOSS = "val_loss"
"""What runs are compared by, and sweepers minimise, by its name in summary.json."""


@dataclass
class Job:
    """What is run, where it writes, and how it went."""

    number: int
    overrides: tuple[str, ...]
    folder: Path
    status: str = "waiting"
    """waiting, running, finished, skipped (finished before), failed"""
    summary: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def log(self) -> Path:
        """Everything that the job's process prints."""
        return self.folder / "log.txt"

    def finished_before(self) -> bool:
        """Whether the folder holds the finished run of the same words."""
        try:
            words = json.loads((self.folder / "overrides.json").read_text())
        except (OSError, ValueError):
            return False
        return words == list(self.overrides) and bool(self._read_summary().get("finished"))

    def end(self, exit_status: int) -> None:
        """Take note of how the process ended."""
        self.summary = self._read_summary()
        self.status = "finished" if exit_status == 0 else "failed"
        if exit_status:
            lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
            self.error = lines[-1] if lines else f"exit status {exit_status}"

    def skip(self) -> None:
        """Take over the results of an earlier start of the same sweep."""
        self.summary, self.status = self._read_summary(), "skipped"

    def _read_summary(self) -> dict[str, Any]:
        try:
            read: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        except (OSError, ValueError):
            return {}
        return read


def command(verb: str, flags: Sequence[str], job: Job) -> list[str]:
    """The command line of a job's process. `hydra.mode=RUN`, or a configuration that asks for a sweep would start one again."""
    where = [f"hydra.run.dir='{job.folder}'", f"hydra.job.num={job.number}", "hydra.mode=RUN"]
    return [sys.executable, "-m", "gptkit", "--config-name", verb, *flags, *job.overrides, *where]


def shares(n_jobs: int, environment: Mapping[str, str]) -> list[dict[str, str]]:
    """The environment variables of each place in which a job can run: cores and GPUs divided evenly among `n_jobs` places."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = str(max(cores // n_jobs, 1))
    devices = _gpus(environment)
    places = []
    for place in range(n_jobs):
        variables = {"OMP_NUM_THREADS": threads, "RAYON_NUM_THREADS": threads}
        if devices and n_jobs > 1:
            own = devices[place::n_jobs] if len(devices) >= n_jobs else [devices[place % len(devices)]]
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(own)
        places.append(variables)
    return places


def _gpus(environment: Mapping[str, str]) -> list[str]:
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device for device in visible.split(",") if device]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return [str(number) for number, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]
