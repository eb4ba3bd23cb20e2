"""Constructs Lightning's Trainer from the user's arguments, without the features that gptkit implements itself.

Errors of Lightning become one line that names the argument.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher

from gptkit.errors import ConfigError, GptkitError
from gptkit.terminal import print_text
from gptkit.training.interruptions import watch_ranks
from gptkit.training.lightning_progress import RunLoggerConnector
from gptkit.training.precision import choose_precision
from gptkit.training.stored_precision import use_stored_precision
from gptkit.training.strategies import STRATEGIES
from gptkit.training.trainer_arguments import hint, shorten

PROCESSES_PER_CORE = 2
"""Upper limit of processes per CPU core. Each process holds a whole model, and more of them only wait for one another."""


def build_trainer(arguments: Mapping[str, Any], folder: Path, callbacks: list[lightning.Callback]) -> lightning.Trainer:
    """Build the Trainer of a run. `fit` calls this before it reads data, so that invalid arguments are reported at once.

    Args:
        arguments: returned by `check_trainer_arguments`.
        folder: the run folder, where profilers write.
        callbacks: the callbacks that the user configured.

    Raises:
        ConfigError: Lightning or torch rejects an argument; the message is `trainer.<key>=<value>: <reason>`.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # hides Lightning's greetings and tips
    _check_processes(arguments)
    _check_precision(arguments)
    if arguments.get("profiler") == "xla" and importlib.util.find_spec("torch_xla") is None:
        # Lightning's profiler would fail in its constructor and once more when the incomplete object is deleted
        raise ConfigError("trainer.profiler=xla: needs torch_xla, which is not installed")
    if "profiler" in arguments and "default_root_dir" in arguments:
        _make_folder(Path(arguments["default_root_dir"]))
    try:
        trainer = _construct(arguments, folder, callbacks)
    except GptkitError:
        raise
    except Exception as error:
        key = _find_invalid_argument(arguments, folder, str(error))
        where = f"trainer.{key}={shorten(arguments[key])}" if key else "trainer"
        raise ConfigError(f"{where}: {_first_line(error)}{hint(key)}") from error
    _check_nodes(trainer)
    _check_launcher(trainer, arguments.get("strategy"))
    trainer._logger_connector = RunLoggerConnector(trainer)
    if "profiler" in arguments:
        _show_profiler_tables()
    use_stored_precision(trainer)
    watch_ranks(trainer)
    return trainer


def _construct(arguments: Mapping[str, Any], folder: Path, callbacks: list[lightning.Callback]) -> lightning.Trainer:
    lightning_arguments = dict(arguments)
    if lightning_arguments.get("precision", "auto") == "auto":
        lightning_arguments["precision"] = choose_precision(str(lightning_arguments.get("accelerator", "auto")))
    strategy = lightning_arguments.get("strategy", "auto")
    lightning_arguments["strategy"] = STRATEGIES[strategy]() if strategy in STRATEGIES else strategy
    lightning_arguments.setdefault("default_root_dir", str(folder))
    return lightning.Trainer(
        **{
            **lightning_arguments,
            "callbacks": callbacks,
            "max_epochs": 1,  # the dataloader yields exactly the remaining steps
            "logger": False,  # `fit` adds the loggers, which need the step from which a run continues
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": lightning_arguments.get("enable_model_summary", False),
            "use_distributed_sampler": False,
            "num_sanity_val_steps": 0,
            "check_val_every_n_epoch": None,  # EarlyStopping looks at these two, and then checks after every validation
            "val_check_interval": 1,
            "limit_val_batches": 0,
        }
    )


def _find_invalid_argument(arguments: Mapping[str, Any], folder: Path, reason: str) -> str:
    """Return the argument without which Lightning accepts the others. Arguments that `reason` names are tried first."""
    candidates = sorted(arguments, key=lambda name: not (name in reason or str(arguments[name]) in reason))
    for name in candidates:
        try:
            with warnings.catch_warnings(action="ignore"):
                _construct({other: value for other, value in arguments.items() if other != name}, folder, [])
        except Exception:  # another argument is invalid too
            continue
        return name
    return next((name for name in candidates if name in reason), "")  # several arguments are invalid


def _first_line(error: Exception) -> str:
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _check_processes(arguments: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if there are more CPU processes than the cores can run. Lightning would start any number of them."""
    devices, cores = str(arguments.get("devices", "auto")), os.cpu_count() or 1
    if _uses_cpu(arguments) and devices.isdecimal() and int(devices) > PROCESSES_PER_CORE * cores:
        raise ConfigError(
            f"trainer.devices={devices}: each device is a process that holds a whole model, and this machine has {cores} "
            f"core{'s' if cores > 1 else ''}; use at most {PROCESSES_PER_CORE * cores}"
        )


def _check_precision(arguments: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for 16-mixed on a CPU, where Lightning would use another precision than config.yaml states."""
    if arguments.get("precision") == "16-mixed" and _uses_cpu(arguments):
        raise ConfigError("trainer.precision=16-mixed needs a GPU; write bf16-mixed or 32-true")


def _uses_cpu(arguments: Mapping[str, Any]) -> bool:
    accelerator = arguments.get("accelerator", "auto")
    return accelerator == "cpu" or (accelerator == "auto" and not torch.accelerator.is_available())


def _make_folder(folder: Path) -> None:
    """Raise `ConfigError` if the folder cannot be created. Profilers write into it only at the end of the run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"trainer.default_root_dir={folder}: cannot be created ({error.strerror}); choose another folder"
        ) from error


def _show_profiler_tables() -> None:
    """Print the tables of Lightning's profilers, which are messages of its logger, to standard error."""
    log = logging.getLogger("lightning.pytorch.profilers")
    log.setLevel(logging.INFO)
    log.propagate = False
    if not any(isinstance(handler, _TableHandler) for handler in log.handlers):
        log.addHandler(_TableHandler())


class _TableHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        print_text(record.getMessage(), sys.stderr)


def _check_nodes(trainer: lightning.Trainer) -> None:
    """Raise `ConfigError` for several machines without the address of the first one: the run would wait for them forever."""
    has_no_launcher = isinstance(getattr(trainer.strategy, "cluster_environment", None), LightningEnvironment)
    if trainer.num_nodes > 1 and has_no_launcher and "MASTER_ADDR" not in os.environ:
        raise ConfigError(
            f"trainer.num_nodes={trainer.num_nodes}: the address of the first machine is not set; start the run on each machine "
            "with torchrun or Slurm, or set MASTER_ADDR, MASTER_PORT and NODE_RANK"
        )


def _check_launcher(trainer: lightning.Trainer, strategy: Any) -> None:
    """Raise `ConfigError` for strategies that train in child processes: this process would not have the trained state."""
    if type(trainer.strategy.launcher) is _MultiProcessingLauncher:
        raise ConfigError(f"trainer.strategy={strategy} cannot train a run that is saved; use ddp")
