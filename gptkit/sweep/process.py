"""Starts the process of a job, with its command line and environment, and ends it with the sweep."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from hydra.core.override_parser.types import Quote, QuotedString

from gptkit.sweep.jobs import Job

_DISTRIBUTED_VARIABLES = (
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "NODE_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
)
_SLURM_TASK_VARIABLES = ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID")
# torch, numpy's BLAS and Arrow read the first, tokenizers the second
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS")
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h


def job_command(verb: str, flags: Sequence[str], job: Job) -> list[str]:
    """Return the command line of a job. Without `hydra.mode=RUN`, a configuration that sets MULTIRUN would start another sweep."""
    folder = QuotedString(text=str(job.folder), quote=Quote.single).with_quotes()
    hydra_overrides = [f"hydra.run.dir={folder}", f"hydra.job.num={job.number}", "hydra.mode=RUN"]
    return [sys.executable, "-m", "gptkit", "--config-name", verb, *flags, *job.overrides, *hydra_overrides]


def job_environment(base: Mapping[str, str], share: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of a job, without those of a distributed process group in which the sweep may run."""
    removed = {*_DISTRIBUTED_VARIABLES, *_SLURM_TASK_VARIABLES}
    return {key: value for key, value in base.items() if key not in removed and not key.startswith("TORCHELASTIC_")} | dict(share)


def start_process(words: Sequence[str], variables: Mapping[str, str], job: Job, descriptor: int) -> subprocess.Popen[bytes]:
    """Start a job in a new session, so that Ctrl-C reaches only the launcher. The job inherits `descriptor`, its folder's lock."""
    with job.log.open("ab") as log:
        return subprocess.Popen(
            words,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(descriptor,),
            preexec_fn=_terminate_with_parent(),
        )


def _terminate_with_parent() -> Callable[[], None] | None:
    """Return a function that makes Linux send SIGTERM to the new process when its parent ends, so that the job saves and exits."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def request_signal() -> None:
        prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
        if os.getppid() != parent:  # the parent has already ended
            os._exit(1)

    return request_signal


def divide_machine(n_jobs: int, base: Mapping[str, str]) -> list[dict[str, str]]:
    """Divide cores and GPUs evenly among `n_jobs` slots, and return the environment variables of each.

    A smaller number of threads in the user's environment is kept.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores_per_slot = max(cores // n_jobs, 1)
    threads = {
        name: str(min(cores_per_slot, int(value)) if (value := base.get(name, "")).isdecimal() else cores_per_slot)
        for name in _THREAD_VARIABLES
    }
    devices = _visible_gpus(base)
    slots = []
    for slot in range(n_jobs):
        variables = dict(threads)
        if devices and n_jobs > 1:
            slot_devices = devices[slot::n_jobs] if len(devices) >= n_jobs else [devices[slot % len(devices)]]
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(slot_devices)
        slots.append(variables)
    return slots


def _visible_gpus(base: Mapping[str, str]) -> list[str]:
    visible = base.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device for device in visible.split(",") if device]
    if shutil.which("nvidia-smi") is None:
        return []
    listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return [str(number) for number, line in enumerate(listing.stdout.splitlines()) if line.startswith("GPU ")]
