"""logger=tensorboard: what TensorBoard reads of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gptkit.training.reporting.metrics_csv import read_metrics


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def test_the_default_logger_has_curves_hyperparameters_and_samples(log: Callable[..., Path]) -> None:
    folder = log()
    written = events(folder)
    metrics = read_metrics(folder)
    curve = written.Scalars("train/loss")
    assert [event.step for event in curve] == [1, 2, 3, 4, 5, 6]
    assert [event.value for event in curve] == metrics["train/loss"]
    assert [event.step for event in written.Scalars("val/loss")] == [2, 4, 6]
    assert {"lr", "grad_norm", "tokens"} <= set(written.Tags()["scalars"])
    assert [event.step for event in written.Tensors("sample 1/text_summary")] == [6]
    start = written.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"optimizer/lr" in start
    assert not list((folder / "tensorboard").glob("*.yaml"))


def test_steps_after_the_checkpoint_are_ignored_when_a_run_continues(log: Callable[..., Path]) -> None:
    log("save.every=4", steps=6)
    folder = log("save.every=4", steps=8)
    assert [event.step for event in events(folder).Scalars("train/loss")] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_errors_of_threads_are_reported_as_before_after_two_loggers(log: Callable[..., Path]) -> None:
    before = threading.excepthook
    seen: list[threading.ExceptHookArgs] = []
    threading.excepthook = seen.append
    try:
        log("+logger@logger.second=tensorboard", steps=2)
        thread = threading.Thread(target=lambda: [][0])
        thread.start()
        thread.join()
    finally:
        threading.excepthook = before
    assert [args.exc_type for args in seen] == [IndexError]
