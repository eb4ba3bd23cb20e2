"""Early stopping: counts validations without improvement, and the count survives a checkpoint."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gptkit.callback import EarlyStoppingConfig
from gptkit.callback.early_stopping import EarlyStopping


def stops_at(callback: Any, losses: list[float]) -> int | None:
    trainer = SimpleNamespace(should_stop=False)
    for number, loss in enumerate(losses):
        callback.on_validation_end(trainer, SimpleNamespace(state=SimpleNamespace(val_loss=loss)))
        if trainer.should_stop:
            return number
    return None


def test_stops_after_patience_validations_without_improvement() -> None:
    assert stops_at(EarlyStoppingConfig(patience=2).build(), [3.0, 2.0, 2.0, 1.9, 1.95, 1.9]) == 5
    assert stops_at(EarlyStoppingConfig(patience=2).build(), [3.0, 2.0, 2.0, 1.9, 1.95, 1.8]) is None


def test_improvement_below_the_threshold_does_not_count() -> None:
    assert stops_at(EarlyStoppingConfig(patience=2, improvement=0.1).build(), [3.0, 2.95, 2.91, 2.0]) == 2


def test_nan_loss_is_not_an_improvement() -> None:
    assert stops_at(EarlyStoppingConfig(patience=1).build(), [3.0, float("nan")]) == 1


def test_count_survives_a_checkpoint() -> None:
    first, second = EarlyStoppingConfig(patience=2).build(), EarlyStopping(patience=2, improvement=0.0)
    stops_at(first, [2.0, 2.0])
    second.load_state_dict(first.state_dict())
    assert stops_at(second, [2.0]) == 0
