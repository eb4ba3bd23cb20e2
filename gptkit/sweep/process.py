"""The process of a job: its command line, its share of the machine, and that it never outlives its sweep."""

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

_OF_ANOTHER_RUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
_OF_A_SLURM_TASK = ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID")
# what torch, numpy's BLAS and Arrow go by, and what tokenizers goes by
_THREADS = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS")
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h


def command(verb: str, flags: Sequence[str], job: Job) -> list[str]:
    """The command line of a job's process. `hydra.mode=RUN`, or a configuration that asks for a sweep would start one again."""
    folder = QuotedString(text=str(job.folder), quote=Quote.single).with_quotes()
    where = [f"hydra.run.dir={folder}", f"hydra.job.num={job.number}", "hydra.mode=RUN"]
    return [sys.executable, "-m", "gptkit", "--config-name", verb, *flags, *job.overrides, *where]


def environment(given: Mapping[str, str], share: Mapping[str, str]) -> dict[str, str]:
    """A job's environment variables: a run of its own, no member of a group of processes that the sweep may itself be in."""
    strangers = {*_OF_ANOTHER_RUN, *_OF_A_SLURM_TASK}
    return {key: value for key, value in given.items() if key not in strangers and not key.startswith("TORCHELASTIC_")} | dict(
        share
    )


def start(words: Sequence[str], variables: Mapping[str, str], job: Job, descriptor: int) -> subprocess.Popen[bytes]:
    """Start a job in a session of its own, so that Ctrl-C reaches the launcher alone; the job holds `descriptor`, its lock."""
    with job.log.open("ab") as log:
        return subprocess.Popen(
            words,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(descriptor,),
            preexec_fn=_end_with_parent(),
        )


def _end_with_parent() -> Callable[[], None] | None:
    """What makes Linux send SIGTERM to a new process when its parent ends, however it ends: the job saves and leaves."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before it could be watched
            os._exit(1)

    return ask


def shares(n_jobs: int, given: Mapping[str, str]) -> list[dict[str, str]]:
    """The environment variables of each place in which a job can run: cores and GPUs divided evenly among `n_jobs` places.

    A number of threads that the user has set already is kept where it is smaller.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = max(cores // n_jobs, 1)
    threads = {name: str(min(share, int(own)) if (own := given.get(name, "")).isdecimal() else share) for name in _THREADS}
    devices = _gpus(given)
    places = []
    for place in range(n_jobs):
        variables = dict(threads)
        if devices and n_jobs > 1:
            share_of_gpus = devices[place::n_jobs] if len(devices) >= n_jobs else [devices[place % len(devices)]]
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(share_of_gpus)
        places.append(variables)
    return places


def _gpus(given: Mapping[str, str]) -> list[str]:
    visible = given.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device for device in visible.split(",") if device]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return [str(number) for number, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU ")]
