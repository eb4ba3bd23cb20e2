"""`hydra/launcher=process`: every job of a sweep is a process of its own, `n_jobs` of them at a time.

Hydra accepts launchers only from the namespace `hydra_plugins`, and runs this file at every start, so it imports nothing heavy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class ProcessLauncherConf:
    """Settings of the launcher."""

    _target_: str = "hydra_plugins.gptkit_process_launcher.ProcessLauncher"
    # jobs at a time; cores and GPUs are shared out among them
    n_jobs: int = 1


ConfigStore.instance().store(group="hydra/launcher", name="process", node=ProcessLauncherConf, provider="gptkit")


class ProcessLauncher(Launcher):
    """Starts `python -m gptkit` once per job; a job that fails stops neither the others nor the report."""

    def __init__(self, n_jobs: int = 1) -> None:
        self.n_jobs = n_jobs
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.hydra_context = hydra_context

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from gptkit.sweep.launch import run_sweep

        assert self.hydra_context is not None
        loader: Any = self.hydra_context.config_loader
        return run_sweep(self.config, loader, job_overrides, first=initial_job_idx, n_jobs=self.n_jobs)
