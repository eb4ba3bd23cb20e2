"""The loggers of a run: started before the first step, and left out from the moment when one fails, so that the run continues."""

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
from gptkit.training.checkpoints.config_file import to_plain
from gptkit.training.checkpoints.manifest import FOLDER as CHECKPOINTS
from gptkit.training.reporting.fault_tolerance import best_effort
from gptkit.training.reporting.figures import FOLDER as FIGURES
from gptkit.training.strategies import is_first_process

GUARDED = ("log_metrics", "log_hyperparams", "log_graph", "save")
"""Methods of a logger that the kit, Lightning and callbacks call while a run trains."""


def check_loggers(settings: RunConfig) -> dict[str, LoggerConfig]:
    """Returns the loggers of a run by name, after checking that they can be built.

    Raises:
        ConfigError: a package is not installed, or a logger has the name of a folder that a run writes.
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
            part: its settings.
            logger: what the part built. From here on its methods raise no errors: the first is a warning, and the logger is left
                out from then on.
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
                with contextlib.suppress(Exception):  # what failed before was reported
                    finalize(status)
                return
            with best_effort(f"logger.{self.key}"):
                finalize(status)

        return call


def start_loggers(settings: RunConfig, folder: Path, *, step: int) -> list[RunLogger]:
    """Builds the loggers of a run and log its settings as hyperparameters. Only the first process logs.

    Args:
        settings: of the run.
        folder: the run folder.
        step: the step from which the run continues; 0: it starts.

    Raises:
        ConfigError: a logger cannot be started; names it.
        GptkitError: its files cannot be written.
    """
    parts = check_loggers(settings)
    if not is_first_process():
        return [RunLogger(key, part, DummyLogger()) for key, part in parts.items()]
    hyperparameters = {key: value for key, value in to_plain(settings).items() if key != "logger"}
    loggers = []
    for key, part in parts.items():
        try:
            logger = part.build(folder=folder / key, step=step)
            logger.log_hyperparams(hyperparameters)
        except GptkitError:
            raise
        except Exception as error:
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
            raise ConfigError(
                f"logger.{key}: {part.name} cannot be started ({type(error).__name__}: {reason}); ~logger.{key} leaves it out"
            ) from error
        loggers.append(RunLogger(key, part, logger))
    return loggers
