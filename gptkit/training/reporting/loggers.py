"""The loggers of a run, which start before the first step. A logger that fails is not called again, so that the run continues."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import DummyLogger

from gptkit.errors import ConfigError, GptkitError
from gptkit.logger import LoggerConfig
from gptkit.plugins import registry
from gptkit.run_config import RunConfig
from gptkit.terminal import shorten_middle
from gptkit.training.checkpoints.config_file import to_plain
from gptkit.training.checkpoints.manifest import FOLDER as CHECKPOINTS
from gptkit.training.reporting.fault_tolerance import best_effort
from gptkit.training.reporting.figures import FOLDER as FIGURES
from gptkit.training.strategies import is_first_process

GUARDED = ("log_metrics", "log_hyperparams", "log_graph", "save")
"""Methods of a logger that gptkit, Lightning and callbacks call during training."""


def check_loggers(settings: RunConfig) -> dict[str, LoggerConfig]:
    """Return the loggers of a run by name, after checking that they can be built.

    Raises:
        ConfigError: a package is not installed, or the name of a logger is that of a folder that every run writes.
    """
    parts: dict[str, LoggerConfig] = {key: registry().resolve("logger", part) for key, part in settings.logger.items()}
    for key, part in parts.items():
        if key in (CHECKPOINTS, FIGURES):
            raise ConfigError(f"logger.{key}: a run has a folder {key} of its own; choose another name for the logger")
        for module, package in part.packages.items():
            if importlib.util.find_spec(module) is None:
                raise ConfigError(f"logger={part.name} needs the package {package}, which is not installed: pip install {package}")
    return parts


class RunLogger:
    """A logger of a run and its settings."""

    def __init__(self, key: str, part: LoggerConfig, logger: Logger) -> None:
        """
        Args:
            key: the name under `logger.`.
            part: the settings of the logger.
            logger: the logger that the part built. Its methods no longer raise errors: the first one is logged as a
                warning, and the logger is not called again.
        """
        self.key = key
        self.logger = logger
        self._has_failed = False
        self.log_text = functools.partial(self._guard(part.log_text), logger)
        """`log_text(title, text, step)` logs a text."""
        for name in GUARDED:
            setattr(logger, name, self._guard(getattr(logger, name)))
        setattr(logger, "finalize", self._guard_finalize(logger.finalize))  # noqa: B010 - mypy refuses to assign a method

    def _guard(self, method: Callable[..., Any]) -> Callable[..., None]:
        @functools.wraps(method)
        def call(*arguments: Any, **named: Any) -> None:
            if self._has_failed:
                return
            succeeded = False
            with best_effort(f"logger.{self.key}"):
                method(*arguments, **named)
                succeeded = True
            self._has_failed = self._has_failed or not succeeded

        return call

    def _guard_finalize(self, finalize: Callable[[str], None]) -> Callable[[str], None]:
        @functools.wraps(finalize)
        def call(status: str) -> None:
            if self._has_failed:
                with contextlib.suppress(Exception):  # the failure was reported
                    finalize(status)
                return
            with best_effort(f"logger.{self.key}"):
                finalize(status)

        return call


def start_loggers(settings: RunConfig, folder: Path, *, step: int) -> list[RunLogger]:
    """Build the loggers of a run, and log its settings as hyperparameters. Only the first process logs.

    Args:
        settings: the settings of the run.
        folder: the run folder.
        step: the step from which the run resumes; 0 for a new run.

    Raises:
        ConfigError: a logger cannot be started; the message names it.
        GptkitError: the files of a logger cannot be written.
    """
    parts = check_loggers(settings)
    if not is_first_process():
        return [RunLogger(key, part, DummyLogger()) for key, part in parts.items()]
    hyperparameters = {key: value for key, value in to_plain(settings).items() if key != "logger"}
    loggers = []
    for key, part in parts.items():
        try:
            logger = part.build(folder=folder / key, step=step)
            if not isinstance(logger, Logger):
                raise TypeError(f"build() returned {type(logger).__name__}, not a logger of Lightning")
            logger.log_hyperparams(hyperparameters)
        except GptkitError:
            raise
        except Exception as error:
            reason = shorten_middle(
                next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given"), 300
            )
            raise ConfigError(
                f"logger.{key}: {part.name} cannot be started ({type(error).__name__}: {reason}); ~logger.{key} leaves it out"
            ) from error
        loggers.append(RunLogger(key, part, logger))
    return loggers
