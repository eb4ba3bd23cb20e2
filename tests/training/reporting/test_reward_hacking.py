"""Signs of reward hacking, in the report and as warnings during a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gptkit.training.reporting.curves import Curves
from gptkit.training.reporting.metrics_csv import MetricsFile
from gptkit.training.reporting.reward_hacking import diagnose_collapse
from gptkit.training.reporting.reward_hacking_warning import RewardHackingWarning


def verdicts(columns: dict[str, list[float]], missing_end_score: float | None = -1.0) -> dict[str, str]:
    """Return the level of each diagnostic by its title, for validations with these columns."""
    rows = {"tokens": list(range(len(columns["score"]))), **{f"val/{name}": values for name, values in columns.items()}}
    curves = Curves({name: np.array(each, float) for name, each in rows.items()})
    return {one.title: one.level for one in diagnose_collapse(curves, missing_end_score)}


HEALTHY = {"score": [-1.0, 0.0, 1.0], "kl": [1.0, 4.0, 9.0], "length": [20.0, 18.0, 22.0], "judge": [0.1, 0.3, 0.5]}


def test_healthy_run_shows_no_collapse() -> None:
    assert verdicts(HEALTHY) == {"No sign of a collapse": "good"}


@pytest.mark.parametrize(
    ("wrong", "title", "level"),
    [
        ({"judge": [0.1, 0.5, 0.2]}, "The reward rises while the judge falls", "bad"),
        ({"missing_end_of_text": [0.2, 0.9, 0.99]}, "Responses do not end", "bad"),
        ({"length": [20.0, 30.0, 41.0]}, "The length of responses has drifted", "note"),
        ({"length": [20.0, 10.0, 5.0]}, "The length of responses has drifted", "note"),
        ({"kl": [1.0, 20.0, 80.0]}, "The policy is far from its reference", "bad"),
    ],
)
def test_each_collapse_has_its_diagnostic(wrong: dict[str, list[float]], title: str, level: str) -> None:
    assert verdicts({**HEALTHY, **wrong}) == {title: level}


def test_endless_responses_are_accepted_if_the_reward_scores_them() -> None:
    assert verdicts({**HEALTHY, "missing_end_of_text": [1.0, 1.0, 1.0]}, missing_end_score=None) == {
        "No sign of a collapse": "good"
    }


def test_judge_that_falls_with_the_reward_is_not_reward_hacking() -> None:
    assert "The reward rises while the judge falls" not in verdicts({**HEALTHY, "score": [0.0, 2.0, 1.0], "judge": [0.1, 0.5, 0.2]})


def test_other_runs_and_first_validations_get_no_collapse_diagnostics() -> None:
    assert verdicts({"score": [1.0], "kl": [0.0]}) == {}
    assert diagnose_collapse(Curves({"tokens": np.array([1.0]), "val/loss": np.array([2.0])})) == []


# -- warnings during a run --------------------------------------------------------------------------------------------------------

ROWS: list[dict[str, float]] = [
    {"score": 0.0, "kl": 1.0, "length": 20.0, "judge": 0.1},
    {"score": 1.0, "kl": 9.0, "length": 25.0, "judge": 0.5},
    {"score": 2.0, "kl": 30.0, "length": 41.0, "judge": 0.6},
    {"score": 3.0, "kl": 60.0, "length": 30.0, "judge": 0.2},
    {"score": 4.0, "kl": 80.0, "length": 50.0, "judge": 0.1},
]
WARNINGS = [
    "step 30: The length of responses has drifted. From 20.0 to 41.0 tokens.",
    "step 40: The reward rises while the judge falls. Score 2 to 3, independent judge 0.6 to 0.2:",
    "step 40: The policy is far from its reference. The KL divergence is 60 nats per response.",
]


def warnings_of(folder: Path, rows: list[dict[str, float]], caplog: pytest.LogCaptureFixture, *, first: int = 0) -> list[str]:
    """Return the warnings of a process that trains from validation `first`; metrics.csv holds the validations before it."""
    caplog.clear()
    watch, trainer = RewardHackingWarning(folder), SimpleNamespace(is_global_zero=True)
    watch.on_train_start(trainer, None)
    for number, row in enumerate(rows[first:], first + 1):
        state = SimpleNamespace(step=10 * number, val_step=10 * number, tokens=640 * number, val_loss=1.0, val_metrics=row)
        watch.on_validation_end(trainer, SimpleNamespace(state=state))
    assert all((record.name, record.levelname) == ("gptkit", "WARNING") for record in caplog.records)
    return [record.getMessage() for record in caplog.records]


def test_each_collapse_is_reported_once_at_its_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    messages = warnings_of(tmp_path, ROWS, caplog)
    assert len(messages) == len(WARNINGS)
    assert all(line.startswith(expected) for line, expected in zip(messages, WARNINGS, strict=True))
    assert not warnings_of(tmp_path, [{"score": 0.1 * n, "kl": 1.0 * n, "length": 20.0} for n in range(5)], caplog)
    assert not warnings_of(tmp_path, [{}] * 3, caplog)  # an objective without these metrics


@pytest.mark.parametrize("first", range(6))
def test_resumed_run_warns_only_of_new_collapses(tmp_path: Path, caplog: pytest.LogCaptureFixture, first: int) -> None:
    file = MetricsFile(tmp_path / "metrics.csv")
    for number, row in enumerate(ROWS[:first], 1):
        file.add({"step": 10 * number - 5, "tokens": 640 * number - 320, "train/loss": 1.0})
        validation = {f"val/{name}": value for name, value in row.items()}
        file.add({"step": 10 * number, "tokens": 640 * number, "val/loss": 1.0, **validation})
    file.close()
    messages = warnings_of(tmp_path, ROWS, caplog, first=first)
    assert [line.split(".")[0] for line in messages] == [
        expected.split(".")[0] for expected in WARNINGS if int(expected[5:7]) > 10 * first
    ]


def test_run_far_from_its_reference_logs_a_warning(
    train: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(f'{{"prompt": "count {n}:"}}\n' for n in range(12)), encoding="utf-8")
    words = ["objective=ppo", "data=prompts", f"data.path={prompts}", "tokenizer=bytes", "model.context=128", "batch.size=4"]
    words += ["reward=rules", "reward.length=1", "objective.kl_coef=0", "objective.max_new_tokens=64", "optimizer.lr=0.3"]
    words += ["optimizer.schedule.shape=constant", "optimizer.schedule.warmup=0", "val.every=1", "model.layers=1"]
    train(tmp_path / "run", *words, "trainer.max_steps=3")
    train(tmp_path / "run", *words, "trainer.max_steps=4")
    assert caplog.text.count("The policy is far from its reference") == 1
    assert "nats per response. Raise objective.kl_coef" in caplog.text
