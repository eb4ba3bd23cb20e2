"""logger=mlflow: what a local database holds of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT

from gptkit.errors import ConfigError
from gptkit.logger.mlflow_logger import limit_retries
from gptkit.training.reporting.metrics_csv import read_metrics

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of SQLAlchemy, about MLflow's queries


def only_run(uri: str) -> tuple[MlflowClient, Run]:
    client = MlflowClient(uri)
    experiments = [each.experiment_id for each in client.search_experiments(filter_string="name = 'gptkit'")]
    (run,) = client.search_runs(experiments)
    return client, run


def test_a_continued_run_continues_the_run_in_the_database_of_the_run_folder(
    log: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    folder = log("+logger@logger.second=mlflow", steps=4)
    log("+logger@logger.second=mlflow", steps=6)
    assert "INFO" not in capfd.readouterr().err
    client, run = only_run(f"sqlite:///{folder / 'second' / 'mlflow.db'}")
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "/".join(folder.parts[-2:])
    assert run.data.params["optimizer/lr"] == "0.01"
    assert run.data.params["trainer/max_steps"] == "4"  # MLflow keeps the first value
    assert run.info.run_id == (folder / "second" / "run_id").read_text().strip()
    history = sorted(client.get_metric_history(run.info.run_id, "train/loss"), key=lambda each: each.step)
    assert [each.step for each in history] == [1, 2, 3, 4, 5, 6]
    assert [each.value for each in history] == read_metrics(folder)["train/loss"]
    (text,) = (folder / "second" / "artifacts").glob("*/artifacts/sample 1/step-00000006.md")
    assert text.read_text().startswith("**a**")
    assert (folder / "tensorboard").is_dir()


def test_a_database_is_shared_by_runs_and_a_lost_run_is_replaced(log: Callable[..., Path], in_folder: Path) -> None:
    uri = f"sqlite:///{in_folder / 'shared.db'}"
    words = ("logger=mlflow", f"logger.mlflow.tracking_uri={uri}", "logger.mlflow.run_name=mine", "logger.mlflow.tags={team:a}")
    folder = log(*words, steps=2)
    _, run = only_run(uri)
    assert (run.info.run_name, run.data.tags["team"]) == ("mine", "a")
    (folder / "mlflow" / "run_id").write_text("0" * 32)
    log(*words, steps=4)
    assert len(MlflowClient(uri).search_runs([run.info.experiment_id])) == 2


def test_a_server_that_does_not_answer_ends_the_command(log: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(
        ConfigError, match=r"^logger\.mlflow: mlflow cannot be started \(.*127\.0\.0\.1.*; ~logger\.mlflow leaves it out$"
    ):
        log("logger=mlflow", "logger.mlflow.tracking_uri=http://127.0.0.1:9")


def test_a_server_that_does_not_answer_is_asked_a_few_times_unless_the_user_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    with limit_retries(2):
        assert (MLFLOW_HTTP_REQUEST_MAX_RETRIES.get(), MLFLOW_HTTP_REQUEST_TIMEOUT.get()) == (2, 7)
    assert not MLFLOW_HTTP_REQUEST_MAX_RETRIES.is_set()
    assert MLFLOW_HTTP_REQUEST_TIMEOUT.get() == 7


def test_a_database_in_a_folder_that_does_not_exist_is_refused(log: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^logger\.mlflow: there is no folder .*nowhere for its database; create it"):
        log("logger=mlflow", f"logger.mlflow.tracking_uri=sqlite:///{tmp_path / 'nowhere' / 'mlflow.db'}")
