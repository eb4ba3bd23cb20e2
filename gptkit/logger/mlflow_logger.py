"""Lightning's MLFlowLogger for one run folder, which stores the id of the MLflow run, so that a resumed run continues it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.fabric.utilities.logger import _flatten_dict
from lightning.pytorch import loggers
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.engine import make_url

from gptkit.atomic_io import wrap_os_errors
from gptkit.errors import ConfigError
from gptkit.logger.run_id import default_run_name, read_run_id, write_run_id

if TYPE_CHECKING:
    from gptkit.logger import MLFlowLoggerConfig

DATABASE = "mlflow.db"

START_RETRIES, TRAINING_RETRIES = 2, 5
"""Retries of a request that a server does not answer, about 5 seconds and one minute. MLflow's default takes four minutes."""

TIMEOUT = 30
"""Seconds to wait for an answer. MLflow's default is 120."""


@contextlib.contextmanager
def limit_retries(retries: int) -> Iterator[None]:
    """Context in which MLflow repeats a request at most so often. Environment variables that the user sets come first."""
    limits = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": retries, "MLFLOW_HTTP_REQUEST_TIMEOUT": TIMEOUT}
    unset = [name for name in limits if name not in os.environ]
    os.environ.update({name: str(limits[name]) for name in unset})
    try:
        yield
    finally:
        for name in unset:
            del os.environ[name]


def build_mlflow_logger(config: MLFlowLoggerConfig, folder: Path, *, step: int) -> MLFlowLogger:
    """Build the logger and start an MLflow run, or continue the one whose id the folder contains.

    Args:
        config: the settings of the logger.
        folder: the logger's folder in the run folder.
        step: the step from which the run resumes; 0 starts a new MLflow run.
    """
    uri = config.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    artifacts = None
    if not uri:
        with wrap_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / DATABASE).touch()  # SQLAlchemy would retry for a minute, with a warning each time
        uri = f"sqlite:///{folder.absolute() / DATABASE}"
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # MLflow logs every table that it creates
        artifacts = (folder.absolute() / "artifacts").as_uri()  # MLflow's default is a folder in the current one
    _check_database(uri, key=f"logger.{folder.name}")
    with limit_retries(START_RETRIES):
        return _start(config, folder, uri, artifacts, is_resumed=step > 0)


def _check_database(uri: str, *, key: str) -> None:
    """Raise `ConfigError` if the folder of an SQLite database does not exist: MLflow would try to create the file for minutes."""
    if not uri.startswith("sqlite:"):
        return
    database = make_url(uri).database
    if database and not Path(database).parent.is_dir():
        raise ConfigError(
            f"{key}: there is no folder {Path(database).parent} for its database; create it, or set tracking_uri to another"
        )


def _start(config: MLFlowLoggerConfig, folder: Path, uri: str, artifacts: str | None, *, is_resumed: bool) -> MLFlowLogger:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(config.experiment)
    if experiment is None or experiment.lifecycle_stage == "deleted":
        client.create_experiment(config.experiment, artifact_location=artifacts)
    run_id = _find_run(client, read_run_id(folder)) if is_resumed else None
    logger = MLFlowLogger(
        experiment_name=config.experiment,
        run_name=config.run_name or default_run_name(folder),
        tracking_uri=uri,
        tags=dict(config.tags),
        run_id=run_id,
    )
    if run_id is not None:
        client.update_run(run_id, status="RUNNING")
    write_run_id(folder, str(logger.run_id))
    return logger


def _find_run(client: MlflowClient, run_id: str | None) -> str | None:
    """Return the id of an MLflow run if it exists, otherwise None."""
    try:
        return None if run_id is None else str(client.get_run(run_id).info.run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


class MLFlowLogger(loggers.MLFlowLogger):
    """Logs each hyperparameter once: MLflow refuses another value, such as the tokens of a run that is extended."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        with limit_retries(TRAINING_RETRIES):
            super().log_metrics(metrics, step)

    def finalize(self, status: str = "success") -> None:
        with limit_retries(START_RETRIES):
            super().finalize(status)

    def log_hyperparams(self, params: Any) -> None:
        with limit_retries(START_RETRIES):
            logged = self.experiment.get_run(self.run_id).data.params
            super().log_hyperparams({key: value for key, value in _flatten_dict(params).items() if key not in logged})

    def log_text(self, title: str, text: str, step: int) -> None:
        """Log a text as a file of the run."""
        with limit_retries(TRAINING_RETRIES):
            self.experiment.log_text(self.run_id, text, f"{title}/step-{step:08d}.md")
