"""Lightning's Trainer: the user's arguments, what the kit does in its place switched off, and its refusals in one line."""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher

from gptkit.errors import ConfigError, GptkitError
from gptkit.training.interruptions import watch_ranks
from gptkit.training.precision import choose_precision, use_stored_precision
from gptkit.training.strategies import STRATEGIES
from gptkit.training.trainer_arguments import hint, shorten

PROCESSES_PER_CORE = 2
"""Processes on a processor for each of its cores at most: each of them holds a whole model, and more only wait for one another."""


def build_trainer(arguments: Mapping[str, Any], folder: Path, callbacks: list[lightning.Callback]) -> lightning.Trainer:
    """The Trainer of a run. It is made before any data is read, so that what it refuses costs nobody time.

    Args:
        arguments: of `check_trainer_arguments`.
        folder: the run folder, where profilers write.
        callbacks: the user's.

    Raises:
        ConfigError: what Lightning or torch refuses, as `trainer.<key>=<value>: <the reason>`.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # its greetings and tips
    _check_processes(arguments)
    _check_precision(arguments)
    if arguments.get("profiler") == "xla" and importlib.util.find_spec("torch_xla") is None:  # Lightning's own is half made then
        raise ConfigError("trainer.profiler=xla: needs torch_xla, which is not installed")
    if "profiler" in arguments and "default_root_dir" in arguments:
        _make_folder(Path(arguments["default_root_dir"]))
    try:
        trainer = _construct(arguments, folder, callbacks)
    except GptkitError:
        raise
    except Exception as error:
        key = _refused_argument(arguments, folder, str(error))
        where = f"trainer.{key}={shorten(arguments[key])}" if key else "trainer"
        raise ConfigError(f"{where}: {_first_line(error)}{hint(key)}") from error
    _check_nodes(trainer)
    _check_launcher(trainer, arguments.get("strategy"))
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
            "max_epochs": 1,  # the dataloader holds the steps that are left
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": lightning_arguments.get("enable_model_summary", False),
            "use_distributed_sampler": False,
            "num_sanity_val_steps": 0,
            "limit_val_batches": 0,
        }
    )


def _refused_argument(arguments: Mapping[str, Any], folder: Path, reason: str) -> str:
    """The argument without which Lightning takes all the others, one that its reason names before one that it does not."""
    named = sorted(arguments, key=lambda name: not (name in reason or str(arguments[name]) in reason))
    for name in named:
        try:
            with warnings.catch_warnings(action="ignore"):
                _construct({other: value for other, value in arguments.items() if other != name}, folder, [])
        except Exception:  # not this one alone
            continue
        return name
    return next((name for name in named if name in reason), "")  # several are wrong


def _first_line(error: Exception) -> str:
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _check_processes(arguments: Mapping[str, Any]) -> None:
    """Raises: ConfigError: more processes on the processor than its cores can serve; Lightning would start any number."""
    wanted, cores = str(arguments.get("devices", "auto")), os.cpu_count() or 1
    if _on_processor(arguments) and wanted.isdecimal() and int(wanted) > PROCESSES_PER_CORE * cores:
        raise ConfigError(
            f"trainer.devices={wanted}: each is a process with a whole model of its own, and this machine has {cores} "
            f"core{'s' if cores > 1 else ''}; give at most {PROCESSES_PER_CORE * cores}"
        )


def _check_precision(arguments: Mapping[str, Any]) -> None:
    """Raises: ConfigError: Lightning would take another precision on a processor, which config.yaml does not name."""
    if arguments.get("precision") == "16-mixed" and _on_processor(arguments):
        raise ConfigError("trainer.precision=16-mixed needs a GPU; write bf16-mixed or 32-true")


def _on_processor(arguments: Mapping[str, Any]) -> bool:
    accelerator = arguments.get("accelerator", "auto")
    return accelerator == "cpu" or (accelerator == "auto" and not torch.accelerator.is_available())


def _make_folder(folder: Path) -> None:
    """Raises: ConfigError: profilers cannot write there, which they would do at the end of the run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"trainer.default_root_dir={folder}: cannot be made ({error.strerror}); give another folder") from error


def _check_nodes(trainer: lightning.Trainer) -> None:
    """Raises: ConfigError: several machines, and nothing that says where the first one is: it would wait for the others in vain."""
    alone = isinstance(getattr(trainer.strategy, "cluster_environment", None), LightningEnvironment)
    if trainer.num_nodes > 1 and alone and "MASTER_ADDR" not in os.environ:
        raise ConfigError(
            f"trainer.num_nodes={trainer.num_nodes}: nothing says where the other machines are; start the run on each by "
            "torchrun or Slurm, or with MASTER_ADDR, MASTER_PORT and NODE_RANK set"
        )


def _check_launcher(trainer: lightning.Trainer, strategy: Any) -> None:
    """Raises: ConfigError: processes would be copies of this one, which then knows nothing of the run that they made."""
    if type(trainer.strategy.launcher) is _MultiProcessingLauncher:
        raise ConfigError(f"trainer.strategy={strategy} cannot train a run that is saved; use ddp")
