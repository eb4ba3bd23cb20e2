"""A run that is killed and continued: its logs have every step."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import lightning
import pytest

import gptkit
from tests.logger.conftest import WORDS
from tests.logger.test_csv_logger import steps
from tests.logger.test_mlflow_logger import only_run
from tests.logger.test_tensorboard_logger import events
from tests.processes import ProcessServer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of SQLAlchemy, about MLflow's queries


class KillInStep6(lightning.Callback):
    def on_train_batch_start(self, trainer: lightning.Trainer, *_: object) -> None:
        if trainer.global_step == 5:
            os.kill(os.getpid(), signal.SIGKILL)


def run_until_step_6(words: list[str]) -> None:
    gptkit.run(gptkit.compose("train", words), callbacks=[KillInStep6()])


@pytest.mark.process
def test_the_logs_of_a_killed_run_have_no_gap(tiny_words: list[str], process_server: ProcessServer, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = [*tiny_words, *WORDS, f"hydra.run.dir={folder}", "val.every=0", "save.every=4", "logger=[tensorboard,csv,mlflow]"]
    killed = process_server.start(run_until_step_6, words)
    assert killed.wait() == -signal.SIGKILL, killed.stderr
    gptkit.run(gptkit.compose("train", words))
    assert steps(folder, "train/loss") == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events(folder).Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]
    client, run = only_run(f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}")
    history = sorted(client.get_metric_history(run.info.run_id, "train/loss"), key=lambda each: each.step)
    assert [each.step for each in history] == [1, 2, 3, 4, 5, 5, 6]  # MLflow keeps both values of a step that is trained twice
