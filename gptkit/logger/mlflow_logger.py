"""Lightning's MLFlowLogger for one run folder, which stores the id of the MLflow run, so that a resumed run continues it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.fabric.utilities.logger import _flatten_dict
from lightning.pytorch import loggers
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from gptkit.logger.run_id import default_run_name, read_run_id, write_run_id

if TYPE_CHECKING:
    from gptkit.logger import MLFlowLoggerConfig

DATABASE = "mlflow.db"


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
        folder.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{folder.absolute() / DATABASE}"
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # MLflow logs every table that it creates
        artifacts = (folder.absolute() / "artifacts").as_uri()  # MLflow's default is a folder in the current one
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(config.experiment)
    if experiment is None or experiment.lifecycle_stage == "deleted":
        client.create_experiment(config.experiment, artifact_location=artifacts)
    run_id = _find_run(client, read_run_id(folder)) if step else None
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

    def log_hyperparams(self, params: Any) -> None:
        logged = self.experiment.get_run(self.run_id).data.params
        super().log_hyperparams({key: value for key, value in _flatten_dict(params).items() if key not in logged})
