"""Real sweeps: each launcher and sweeper trains two tiny runs and writes the comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from gptkit.sweep.jobs import read_jobs
from gptkit.sweep.report import override_values
from tests.command_line import CommandResult, GptkitCommand
from tests.processes import ProcessServer

WORDS = ("train", "-m", "data=text", "data.path=x.txt", "tokenizer=char", "+shrink=tiny", "trainer=cpu", "trainer.max_steps=2")


@pytest.fixture
def text(in_folder: Path) -> None:
    """A folder that contains only a text file."""
    (in_folder / "x.txt").write_text("the quick brown fox jumps over 123 lazy dogs\n" * 100, encoding="utf-8")


@pytest.fixture
def sweep(gptkit_command: GptkitCommand, text: None) -> Callable[..., Any]:
    """`sweep(*words)`: runs a sweep and returns the result of the command line."""
    return lambda *words: gptkit_command(*WORDS, "hydra.sweep.dir=out", *words)


@pytest.fixture
def sweep_apart(process_server: ProcessServer, text: None) -> Callable[..., CommandResult]:
    """`sweep_apart(*words)`: runs a sweep in a separate process.

    Its launchers pickle everything that is registered with Hydra, and other tests register parts that only they can import.
    """

    def run(*words: str) -> CommandResult:
        process = process_server.start_gptkit(*WORDS, "hydra.sweep.dir=out", *words)
        return CommandResult(process.wait(), process.stdout, process.stderr)

    return run


@pytest.mark.process
def test_process_launcher_reports_every_job_and_skips_finished_ones(sweep: Callable[..., Any]) -> None:
    words = ("data.path=x.txt,absent.txt", "hydra.launcher.n_jobs=2")
    first = sweep(*words)
    assert first.status == 1
    assert [job.status for job in read_jobs(Path("out"))] == ["finished", "failed"]
    assert read_jobs(Path("out"))[1].error.startswith("data.path=absent.txt")
    assert 'href="0/report.html"' in Path("out/sweep.html").read_text()
    log = Path("out/0/log.txt").read_text()
    Path("absent.txt").write_text(Path("x.txt").read_text())
    assert sweep(*words).status == 0
    assert [job.status for job in read_jobs(Path("out"))] == ["finished", "finished"]
    assert Path("out/0/log.txt").read_text() == log


@pytest.mark.process
def test_hydra_settings_reach_the_jobs(sweep: Callable[..., Any]) -> None:
    Path("mine/mypaper").mkdir(parents=True)
    Path("mine/mypaper/small.yaml").write_text("# @package _global_\nmodel:\n  layers: 1\n")
    words = (f"hydra.searchpath=[file://{Path('mine').absolute()}]", "+hydra.job.env_set.OMP_NUM_THREADS=1")
    result = sweep("data.path=x.txt", "+mypaper=small", "seed=1", "hydra.launcher.n_jobs=1", *words)
    assert result.status == 0, result.err
    (settings,) = Path("out/0/checkpoints").glob("step-*/config.yaml")
    assert OmegaConf.load(settings)["model"]["layers"] == 1


@pytest.mark.process
def test_joblib_launcher_runs_jobs(sweep_apart: Callable[..., CommandResult]) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="pip install gptkit[sweeps]")
    done = sweep_apart("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=1")
    assert done.status == 0, done.err
    assert [job.status for job in read_jobs(Path("out"))] == ["finished"]
    assert "val_loss" in done.out
    assert Path("out/sweep.html").is_file()


@pytest.mark.process
def test_submitit_launcher_runs_jobs_locally(sweep_apart: Callable[..., CommandResult]) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="pip install gptkit[sweeps]")
    done = sweep_apart("hydra/launcher=submitit_local", "seed=1", "optimizer.lr=1e-3")
    assert done.status == 0, done.err
    assert [job.status for job in read_jobs(Path("out"))] == ["finished"]
    assert "val_loss" in done.out
    assert Path("out/sweep.html").is_file()


@pytest.mark.filterwarnings("ignore:.*declarative_base:DeprecationWarning")  # Optuna 2 uses deprecated functions of SQLAlchemy 2
def test_optuna_sweeper_minimizes_the_validation_loss(sweep: Callable[..., Any]) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="pip install gptkit[sweeps]")
    words = ("hydra/sweeper=optuna", "hydra/launcher=basic", "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=1")
    done = sweep(*words, "optimizer.lr=tag(log,interval(1e-5,1e-1))")
    assert done.status == 0, done.err
    losses = {override_values(job)["optimizer.lr"]: job.summary["val_loss"] for job in read_jobs(Path("out"))}
    assert len(set(losses.values())) == 3
    results = OmegaConf.load("out/optimization_results.yaml")
    assert results.best_value == min(losses.values())
    assert losses[str(results.best_params["optimizer.lr"])] == results.best_value


@pytest.mark.process
def test_ray_launcher_runs_jobs(sweep_apart: Callable[..., CommandResult]) -> None:
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="docs/sweeps.md says how Ray is installed")
    done = sweep_apart("hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=1", "seed=1")
    assert done.status == 0, done.err
    assert [job.status for job in read_jobs(Path("out"))] == ["finished"]


def test_slurm_launcher_composes(gptkit_command: GptkitCommand) -> None:
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="pip install gptkit[sweeps]")
    shown = gptkit_command(
        "train", "hydra/launcher=slurm", "hydra.launcher.partition=gpu", "--cfg", "hydra", "-p", "hydra.launcher"
    )
    assert shown.status == 0, shown.err
    assert "SlurmLauncher" in shown.out
    assert "partition: gpu" in shown.out
    assert "gpus_per_node: 1" in shown.out
