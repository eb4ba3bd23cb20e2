"""The loggers of a run: none, several, one that is not installed, and one that fails while the run trains."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightning.pytorch.loggers import CSVLogger

import gptkit
from gptkit.errors import ConfigError
from gptkit.logger import LoggerConfig
from gptkit.plugin_origin import BUILTIN_ORIGIN
from gptkit.plugins import Entry, registry
from gptkit.training.checkpoints.config_file import read_mapping
from gptkit.training.reporting.metrics_csv import read_metrics

ROWS = ("trainer.log_every_n_steps=1", "val.every=2")


class FailingLogger(CSVLogger):
    """A service that is gone after two rows."""

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        if step == 3:
            raise ConnectionError("the server does not answer")
        super().log_metrics(metrics, step)


@dataclass
class FailingConfig(LoggerConfig):
    """A logger of a plugin."""

    name: str = "failing"
    starts: bool = True

    def build(self, *, folder: Path, step: int) -> CSVLogger:
        if not self.starts:
            raise RuntimeError("no API key configured\nlong explanation")
        return FailingLogger(str(folder), name="", version="")


@pytest.fixture(autouse=True)
def _plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry().parts["logger"], "failing", Entry(FailingConfig, BUILTIN_ORIGIN))


def test_the_files_of_a_run_do_not_depend_on_its_loggers(train: Callable[..., Any], weights: Any, tmp_path: Path) -> None:
    results = [train(tmp_path / name, *ROWS, word) for name, word in (("none", "logger=null"), ("two", "logger=[csv,tensorboard]"))]
    assert not {path.name for path in (tmp_path / "none").iterdir()} & {"csv", "tensorboard"}
    assert {path.name for path in (tmp_path / "two").iterdir()} >= {"csv", "tensorboard"}
    none, two = read_metrics(tmp_path / "none"), read_metrics(tmp_path / "two")
    assert list(none) == list(two)
    assert all(none[name] == two[name] for name in ("step", "tokens", "train/loss", "grad_norm", "lr"))
    assert results[0]["val_loss"] == results[1]["val_loss"]
    assert all(weights(tmp_path / "none")[name].equal(tensor) for name, tensor in weights(tmp_path / "two").items())


def test_a_logger_that_fails_is_left_out_and_the_run_continues(
    train: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "gptkit"):
        result = train(tmp_path / "run", *ROWS, "logger=csv", "+logger.mine.name=failing")
    assert result["steps"] == 6
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("logger.mine could not be written (ConnectionError: the server does not answer)")
    assert read_metrics(tmp_path / "run")["step"] == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "run" / "csv" / "metrics.csv").read_text().count("\n") == 1 + 6 + 3


def test_a_logger_that_cannot_be_started_is_named(train: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        train(tmp_path / "run", "+logger.mine.name=failing", "+logger.mine.starts=false")
    assert "logger.mine: failing cannot be started (RuntimeError: no API key configured); ~logger.mine" in str(raised.value)


def test_a_logger_part_that_returns_something_else_is_named(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FailingConfig, "build", lambda self, *, folder, step: None)
    with pytest.raises(ConfigError, match=r"failing cannot be started \(TypeError: build\(\) returned NoneType, not a logger"):
        train(tmp_path / "run", "+logger.mine.name=failing")


def test_a_run_continues_with_another_logger_if_its_own_is_not_installed(train: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(folder, *ROWS, "trainer.max_steps=2", "+logger.mine.name=failing")
    del registry().parts["logger"]["failing"]
    with pytest.raises(ConfigError, match=r"config\.yaml: there is no logger=failing\. Choose another one, such as logger=csv\.$"):
        gptkit.compose("train", [f"hydra.run.dir={folder}", "trainer.max_steps=4"])
    gptkit.run(gptkit.compose("train", [f"hydra.run.dir={folder}", "trainer.max_steps=4", "logger=csv"]))
    assert read_metrics(folder)["step"] == [1, 2, 3, 4]
    assert (folder / "csv" / "metrics.csv").is_file()


@pytest.mark.parametrize(("part", "package"), [("wandb", "wandb"), ("mlflow", "mlflow")])
def test_a_package_that_is_not_installed_is_named_before_data_is_read(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, package: str
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == package else find_spec(name, *rest))
    with pytest.raises(ConfigError, match=f"logger={part} needs the package {package}, .*: pip install {package}$"):
        train(tmp_path / "run", f"logger={part}", "data.path=nowhere.txt")
    assert not (tmp_path / "run").exists()


def test_a_name_that_a_run_needs_itself_is_refused(train: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"logger\.checkpoints: a run has a folder checkpoints of its own"):
        train(tmp_path / "run", "+logger@logger.checkpoints=csv")


def test_a_run_from_before_there_were_loggers_continues_with_tensorboard(train: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(folder, "trainer.max_steps=2", "save.every=2", "logger=csv")
    content = read_mapping(folder / "config.yaml")
    del content["logger"]
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    result = gptkit.run(gptkit.compose("train", [f"hydra.run.dir={folder}", "trainer.max_steps=4"]))
    assert result["steps"] == 4
    assert len(list((folder / "tensorboard").iterdir())) == 1


@pytest.mark.process
def test_the_help_page_imports_neither_torch_nor_a_logger() -> None:
    code = (
        "import sys; from gptkit.config.main import run_command_line as run; run(['train', '--help']);"
        "print({'torch', 'lightning', 'wandb', 'mlflow'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.rstrip().endswith("set()")
