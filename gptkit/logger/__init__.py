"""Loggers: the base class of their configs, the built-in configs, and the hook that registers them.

A logger sends the metrics, hyperparameters and sample texts of a run to a tool. The run's own files (metrics.csv, samples.jsonl,
summary.json, report.html) are written without a logger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from gptkit.constraints import at_least, not_empty
from gptkit.hookspecs import hookimpl
from gptkit.parts import Part

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger


@dataclass
class LoggerConfig(Part):
    """A Lightning logger, chosen with `logger=<part>`; `+logger@logger.<any name>=<part>` adds another.

    Subclasses set `name` to a default, add fields and implement `build`.
    """

    name: str = ""

    packages: ClassVar[Mapping[str, str]] = {}
    """Modules that `build` imports -> the packages to install. If one is missing, the run ends before it reads any data."""

    def build(self, *, folder: Path, step: int) -> Logger:
        """Build the logger. Called only on the first process, before the first step.

        Args:
            folder: `<run folder>/<name of the logger>`; it may not exist yet, and only this logger writes there.
            step: the step from which the run resumes; 0 for a new run. A logger continues its earlier output, and
                removes later steps if its format allows that.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")

    def log_text(self, logger: Any, title: str, text: str, step: int) -> None:
        """Log a text in Markdown; loggers that cannot show texts ignore it.

        Args:
            logger: what `build` returned.
            title: the title that the texts of all steps share, such as "sample 1".
            text: the text of this step.
            step: the step.
        """


@dataclass
class TensorBoardLoggerConfig(LoggerConfig):
    """Write event files for TensorBoard: curves, hyperparameters and sample texts."""

    name: str = "tensorboard"
    flush_secs: Annotated[int, "seconds after which events are written to the file; validations write them, too", at_least(1)] = 120

    def build(self, *, folder: Path, step: int) -> Logger:
        from gptkit.logger.tensorboard_logger import TensorBoardLogger

        return TensorBoardLogger(folder, step=step, flush_secs=self.flush_secs)

    def log_text(self, logger: Any, title: str, text: str, step: int) -> None:
        logger.experiment.add_text(title, text, global_step=step)


@dataclass
class CSVLoggerConfig(LoggerConfig):
    """Write metrics.csv and hparams.yaml in the format of Lightning's CSVLogger."""

    name: str = "csv"

    def build(self, *, folder: Path, step: int) -> Logger:
        from gptkit.logger.csv_logger import CSVLogger

        return CSVLogger(folder, step=step)


@dataclass
class WandbLoggerConfig(LoggerConfig):
    """Log to Weights & Biases, online or offline. A resumed run continues its W&B run.

    The environment variables of W&B, such as WANDB_MODE and WANDB_API_KEY, have their usual meaning.
    """

    name: str = "wandb"
    project: Annotated[str, "project that the run belongs to", not_empty] = "gptkit"
    entity: Annotated[str | None, "user or team; null: the default of the account", not_empty] = None
    run_name: Annotated[str | None, "name of the run; null: the last two folders of its path", not_empty] = None
    group: Annotated[str | None, "group of runs, such as a sweep", not_empty] = None
    tags: Annotated[list[str], "tags of the run"] = field(default_factory=list)
    offline: Annotated[bool, "write the run to its folder only; `wandb sync` uploads it later"] = False

    packages: ClassVar[Mapping[str, str]] = {"wandb": "wandb"}

    def build(self, *, folder: Path, step: int) -> Logger:
        from gptkit.logger.wandb_logger import build_wandb_logger

        return build_wandb_logger(self, folder, step=step)

    def log_text(self, logger: Any, title: str, text: str, step: int) -> None:
        logger.log_text(title, columns=["step", "text"], data=[[step, text]], step=step)


@dataclass
class MLFlowLoggerConfig(LoggerConfig):
    """Log to MLflow: a tracking server or a database. A resumed run continues its MLflow run."""

    name: str = "mlflow"
    tracking_uri: Annotated[
        str | None,
        "server or database, such as sqlite:///mlflow.db; null: MLFLOW_TRACKING_URI, or mlflow.db in the run folder",
        not_empty,
    ] = None
    experiment: Annotated[str, "experiment that the run belongs to", not_empty] = "gptkit"
    run_name: Annotated[str | None, "name of the run; null: the last two folders of its path", not_empty] = None
    tags: Annotated[dict[str, str], "tags of the run"] = field(default_factory=dict)

    packages: ClassVar[Mapping[str, str]] = {"mlflow": "mlflow"}

    def build(self, *, folder: Path, step: int) -> Logger:
        from gptkit.logger.mlflow_logger import build_mlflow_logger

        return build_mlflow_logger(self, folder, step=step)

    def log_text(self, logger: Any, title: str, text: str, step: int) -> None:
        logger.log_text(title, text, step)


@hookimpl
def gptkit_logger() -> list[type[LoggerConfig]]:
    return [TensorBoardLoggerConfig, CSVLoggerConfig, WandbLoggerConfig, MLFlowLoggerConfig]
