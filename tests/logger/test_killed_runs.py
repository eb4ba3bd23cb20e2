"""A run that is killed and continued: its logs have every step."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import gptkit
from tests.logger.conftest import WORDS
from tests.logger.test_csv_logger import steps
from tests.logger.test_mlflow_logger import only_run
from tests.logger.test_tensorboard_logger import events

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of SQLAlchemy, about MLflow's queries

KILLED_IN_STEP_6 = """
import json, os, signal, sys
import lightning
import gptkit

class Kill(lightning.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 5:
            os.kill(os.getpid(), signal.SIGKILL)

gptkit.run(gptkit.compose("train", json.loads(sys.argv[1])), callbacks=[Kill()])
"""


@pytest.mark.process
def test_the_logs_of_a_killed_run_have_no_gap(tiny_words: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = [*tiny_words, *WORDS, f"hydra.run.dir={folder}", "val.every=0", "save.every=4", "logger=[tensorboard,csv,mlflow]"]
    killed = subprocess.run([sys.executable, "-c", KILLED_IN_STEP_6, json.dumps(words)], stderr=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    gptkit.run(gptkit.compose("train", words))
    assert steps(folder, "train/loss") == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events(folder).Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]
    client, run = only_run(f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}")
    history = sorted(client.get_metric_history(run.info.run_id, "train/loss"), key=lambda each: each.step)
    assert [each.step for each in history] == [1, 2, 3, 4, 5, 5, 6]  # MLflow keeps both values of a step that is trained twice
