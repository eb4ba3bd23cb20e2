"""The callback that reports on a run. It calls the reporters in order and writes summary.json and report.html."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.model_helpers import is_overridden

from gptkit.model.base import Model
from gptkit.run_config import RunConfig
from gptkit.tokenizer.base import Tokenizer
from gptkit.training.checkpoints.config_file import FILE as CONFIG
from gptkit.training.reporting.console_output import ProgressDisplay
from gptkit.training.reporting.environment import FILE as ENVIRONMENT
from gptkit.training.reporting.environment import Environment, describe, write_environment
from gptkit.training.reporting.fault_tolerance import best_effort
from gptkit.training.reporting.figures import FOLDER as FIGURES
from gptkit.training.reporting.loggers import RunLogger
from gptkit.training.reporting.metrics_csv import FILE as METRICS
from gptkit.training.reporting.metrics_csv import last_logged, read_metrics
from gptkit.training.reporting.metrics_logger import MetricsLogger, read_scalars
from gptkit.training.reporting.report import FILE as REPORT
from gptkit.training.reporting.report import write_report
from gptkit.training.reporting.reward_hacking_warning import RewardHackingWarning
from gptkit.training.reporting.sample_logger import SampleLogger
from gptkit.training.reporting.samples import FILE as SAMPLES
from gptkit.training.reporting.speed_and_mfu import SpeedMeter, model_flops_utilization, peak_memory_bytes
from gptkit.training.reporting.summary import FILE as SUMMARY
from gptkit.training.reporting.summary import VALIDATION_LOSS, read_summary, write_summary


def build_reporting_callback(
    folder: Path,
    settings: RunConfig,
    *,
    model: Model,
    tokenizer: Tokenizer,
    parameters: int,
    progress: bool,
    loggers: Sequence[RunLogger] = (),
) -> ReportingCallback:
    """Build the callback that reports on a run.

    Code that saves checkpoints pauses the speed meter (`with callback.meter.pause():`) and then calls `after_step`. The reporters
    read `pl_module.state`, a `TrainState`, and write metrics.csv, samples.jsonl, environment.json, summary.json and report.html
    into the folder. When a run resumes, call `truncate_metrics` and `truncate_samples` first.

    Args:
        folder: the run folder.
        settings: the run's settings.
        model: the model that generates the samples.
        tokenizer: the tokenizer of the model.
        parameters: the number of trained parameters of the model and the objective.
        progress: whether to show a progress bar or progress lines on standard error.
        loggers: receive the samples; metrics go to those of the Trainer.
    """
    meter = SpeedMeter(previous_seconds=seconds_spent(folder))
    metrics = MetricsLogger(folder, meter)
    samples = SampleLogger(
        folder, settings.samples, model=model, tokenizer=tokenizer, seed=settings.seed, meter=meter, loggers=loggers
    )
    summary = SummaryCallback(folder, settings, vocabulary=tokenizer.size, parameters=parameters, meter=meter)
    reward_hacking = RewardHackingWarning(folder, getattr(settings.objective, "missing_end_of_text", None))
    return ReportingCallback(
        meter,
        [meter, metrics],
        [*([ProgressDisplay(meter)] if progress else []), samples, reward_hacking, summary],
        metrics,
        samples,
        summary,
    )


def seconds_spent(folder: Path) -> float:
    """Return the seconds that the run in this folder has taken so far, according to its summary and log."""
    logged_seconds = [second for second in read_metrics(folder).get("wall_seconds", []) if math.isfinite(second)]
    return max([0.0, float(read_summary(folder).get("wall_seconds") or 0.0), *logged_seconds[-1:]])


FILES = (CONFIG, METRICS, SAMPLES, ENVIRONMENT, SUMMARY, REPORT)
FOLDERS = (FIGURES,)
"""The files and folders that a run writes, except for checkpoints."""

HOOKS = (
    "on_train_start",
    "on_train_batch_start",
    "on_train_batch_end",
    "on_validation_start",
    "on_validation_end",
    "on_train_end",
    "on_exception",
    "teardown",
)
"""The hooks that a reporter may implement."""


class ReportingCallback(Callback):
    """Combines several callbacks into one that calls only the hooks they implement.

    Lightning itself calls every hook of every callback at each step, which takes time.
    """

    def __init__(
        self,
        meter: SpeedMeter,
        essential_reporters: Sequence[Callback],
        other_reporters: Sequence[Callback],
        metrics: MetricsLogger,
        samples: SampleLogger,
        summary: SummaryCallback,
    ) -> None:
        """Combine the reporters.

        Args:
            meter: measures the run's speed.
            essential_reporters: reporters whose errors stop the run.
            other_reporters: reporters called after the essential ones. Their errors are logged and the run continues.
            samples, summary: two of `other_reporters`.
        """
        self.meter = meter
        self._metrics = metrics
        self._samples = samples
        self._summary = summary
        for hook in HOOKS:
            essential = [getattr(reporter, hook) for reporter in essential_reporters if is_overridden(hook, reporter, Callback)]
            others = [_log_failures(reporter, hook) for reporter in other_reporters if is_overridden(hook, reporter, Callback)]
            setattr(self, hook, functools.partial(_call_all, [*essential, *others]))

    def after_step(self, trainer: Any, pl_module: Any) -> None:
        """Write samples if they are due. Called after a step and its validation and checkpoint."""
        self._metrics.write_logged(trainer, pl_module.state)
        self._samples.after_step(trainer, pl_module)

    def is_incomplete(self, pl_module: Any, saved: float) -> bool:
        """Return whether a finished run lacks files that are written after the last checkpoint, because it was killed.

        Args:
            pl_module: the module, in its state at the end of the run.
            saved: the time at which the last checkpoint was written, in seconds since the epoch.
        """
        return self._samples.is_missing(pl_module) or self._summary.is_outdated(pl_module, saved)

    def complete(self, trainer: Any, pl_module: Any) -> None:
        """Write the files that a finished run lacks. The trainer has not trained in this process."""
        if self._samples.is_missing(pl_module):
            pl_module.to(trainer.strategy.root_device)
            self._samples.write_samples(pl_module, first=True)
        self._summary.complete(trainer, pl_module)


def _log_failures(reporter: Callback, hook: str) -> Callable[..., None]:
    function = getattr(reporter, hook)
    output = OUTPUTS.get(type(reporter), type(reporter).__name__)

    def call(*arguments: Any, **named: Any) -> None:
        with best_effort(output):
            function(*arguments, **named)

    return call


def _call_all(functions: Sequence[Callable[..., None]], *arguments: Any, **named: Any) -> None:
    for function in functions:
        function(*arguments, **named)


class SummaryCallback(Callback):
    """Writes summary.json at every validation, and summary.json and report.html when training ends or fails."""

    def __init__(self, folder: Path, settings: RunConfig, *, vocabulary: int, parameters: int, meter: SpeedMeter) -> None:
        self.folder = folder
        self.settings = settings
        self.vocabulary = vocabulary
        self.parameters = parameters
        self.meter = meter
        self._environment: Environment | None = None

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.is_global_zero and not trainer.sanity_checking and pl_module.state.step:
            with self.meter.pause():
                self.summarize(trainer, pl_module)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._close(trainer, pl_module)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        if trainer.is_global_zero and pl_module.state.step:
            with contextlib.suppress(Exception):  # report what stopped the run, not errors that follow from it
                self.summarize(trainer, pl_module)
                write_report(self.folder)

    def _close(self, trainer: Any, pl_module: Any) -> None:
        if trainer.is_global_zero and pl_module.state.step:
            with best_effort("summary.json"):
                self.summarize(trainer, pl_module)
            with best_effort("report.html"):
                write_report(self.folder)

    def is_outdated(self, pl_module: Any, saved: float) -> bool:
        """Return whether summary.json does not describe the end of the run, or report.html is older than the last checkpoint."""
        report = self.folder / REPORT
        return not self._summarizes_end(pl_module) or not report.is_file() or report.stat().st_mtime < saved

    def _summarizes_end(self, pl_module: Any) -> bool:
        summary = read_summary(self.folder)
        return summary.get("steps") == pl_module.state.step and bool(summary.get("finished"))

    def complete(self, trainer: Any, pl_module: Any) -> None:
        """Write report.html, and before it summary.json if that does not describe the end of the run."""
        state = pl_module.state
        if not self._summarizes_end(pl_module):
            with best_effort("summary.json"):
                last = last_logged(self.folder, state.step)
                state.loss = torch.tensor(last["train/loss"]) if "train/loss" in last else None
                state.metrics = {
                    name.removeprefix("train/"): torch.tensor(value)
                    for name, value in last.items()
                    if name.startswith("train/") and name != "train/loss"
                }
                state.callback_metrics = {
                    name: value for name, value in last.items() if "/" in name and not name.startswith(("train/", "val/"))
                }
                self.summarize(trainer, pl_module, rate=last.get("tokens_per_second"))
        with best_effort("report.html"):
            write_report(self.folder)

    def summarize(self, trainer: Any, pl_module: Any, *, rate: float | None = None) -> None:
        """Write summary.json with the current state, and environment.json at the first call.

        Args:
            trainer, pl_module: the trainer and the module of the run.
            rate: tokens per second, if this process has not measured them.
        """
        state = pl_module.state
        if self._environment is None:
            device: torch.device = trainer.strategy.root_device
            self._environment = describe(
                self.settings,
                parameters=self.parameters,
                vocabulary=self.vocabulary,
                device=device,
                devices=trainer.world_size,
                precision=str(trainer.precision),
            )
            write_environment(self.folder, self._environment)
        environment, rate = self._environment, self.meter.tokens_per_second or rate
        mfu = None
        if rate and environment.flops_per_token and environment.peak_flops:
            mfu = model_flops_utilization(rate, environment.flops_per_token, environment.peak_flops, environment.devices)
        extra = read_scalars(state.metrics)
        extra.update({f"val_{name}": value for name, value in state.val_metrics.items()})
        extra.update({name.replace("/", "_"): value for name, value in state.callback_metrics.items()})
        write_summary(
            self.folder,
            parameters=self.parameters,
            tokens=state.tokens,
            steps=state.step,
            train_loss=None if state.loss is None else float(state.loss),
            val_loss=state.val_loss,
            tokens_per_second=rate,
            mfu=mfu,
            wall_seconds=self.meter.wall_seconds,
            peak_memory_bytes=peak_memory_bytes(),
            finished=state.step >= state.last_step or pl_module.finished_early,
            monitor=VALIDATION_LOSS if state.monitor is None else f"val_{state.monitor}",
            monitor_mode=state.monitor_mode,
            extra=extra,
        )


OUTPUTS: dict[type[Callback], str] = {
    ProgressDisplay: "progress",
    SampleLogger: "samples",
    RewardHackingWarning: "the check for reward hacking",
    SummaryCallback: "summary.json",
}
"""The output that is missing if a reporter fails, by class."""
