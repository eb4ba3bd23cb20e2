"""What writes down a run, as one callback: its keepers, in the order in which they must be called, and the one that sums it up."""

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

from gptkit.command import Training
from gptkit.errors import GptkitError
from gptkit.model.built import BuiltModel
from gptkit.tokenizer.built import BuiltTokenizer
from gptkit.training.checkpoints.settings_file import FILE as CONFIG
from gptkit.training.record.board import FOLDER as TENSORBOARD
from gptkit.training.record.drawn import FOLDER as FIGURES
from gptkit.training.record.environment import FILE as ENVIRONMENT
from gptkit.training.record.environment import Environment, describe, write_environment
from gptkit.training.record.metrics import FILE as METRICS
from gptkit.training.record.metrics import Metrics, read_metrics, read_scalars
from gptkit.training.record.progress import Progress
from gptkit.training.record.report import FILE as REPORT
from gptkit.training.record.report import write_report
from gptkit.training.record.sample_lines import FILE as SAMPLES
from gptkit.training.record.samples import SampleTexts
from gptkit.training.record.speed import SpeedMeter, peak_memory_bytes, utilisation
from gptkit.training.record.summary import FILE as SUMMARY
from gptkit.training.record.summary import VALIDATION_LOSS, read_summary, write_summary
from gptkit.training.record.watch import CollapseWatch


def logbook(
    folder: Path, settings: Training, *, model: BuiltModel, tokenizer: BuiltTokenizer, parameters: int, progress: bool
) -> tuple[SpeedMeter, Logbook]:
    """The meter of a run, which whoever saves checkpoints pauses (`with meter.paused():`), and its logbook.

    The keepers read `pl_module.state`, a `gptkit.training.state.TrainState`, and write into the folder: metrics.csv, tensorboard/,
    samples.jsonl, environment.json, summary.json, report.html. Where a run continues, call `metrics.cut_back` before.

    Args:
        folder: the run folder.
        settings: the run's settings.
        model: what samples are drawn from.
        tokenizer: its tokenizer.
        parameters: trained parameters of model and objective.
        progress: show a bar or lines on standard error.
    """
    meter = SpeedMeter(spent=seconds_spent(folder))
    metrics = Metrics(folder, meter)
    samples = SampleTexts(
        folder, settings.samples, model=model, tokenizer=tokenizer, seed=settings.seed, meter=meter, metrics=metrics
    )
    closing = ClosingPages(folder, settings, vocabulary=tokenizer.size, parameters=parameters, meter=meter)
    watch = CollapseWatch(folder, getattr(settings.objective, "missing_end_of_text", None))
    return meter, Logbook([meter, metrics, *([Progress(meter)] if progress else []), samples, watch, closing])


def seconds_spent(folder: Path) -> float:
    """Seconds that the run in this folder took so far, as far as it wrote them down."""
    logged = [second for second in read_metrics(folder).get("wall_seconds", []) if math.isfinite(second)]
    return max([0.0, float(read_summary(folder).get("wall_seconds") or 0.0), *logged[-1:]])


FILES = (CONFIG, METRICS, SAMPLES, ENVIRONMENT, SUMMARY, REPORT)
FOLDERS = (TENSORBOARD, FIGURES)
"""What a run writes into its folder, checkpoints apart."""

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
"""What a keeper may do something at."""


class Logbook(Callback):
    """Several callbacks as one, which calls those with something to do: Lightning calls every hook of every callback each step."""

    def __init__(self, keepers: Sequence[Callback]) -> None:
        for hook in HOOKS:
            ours = [getattr(keeper, hook) for keeper in keepers if is_overridden(hook, keeper, Callback)]
            setattr(self, hook, functools.partial(_call_all, ours))


def _call_all(functions: Sequence[Callable[..., None]], *arguments: Any, **named: Any) -> None:
    for function in functions:
        function(*arguments, **named)


class ClosingPages(Callback):
    """Writes summary.json at every validation, and with report.html whenever training ends, for whatever reason."""

    def __init__(self, folder: Path, settings: Training, *, vocabulary: int, parameters: int, meter: SpeedMeter) -> None:
        self.folder = folder
        self.settings = settings
        self.vocabulary = vocabulary
        self.parameters = parameters
        self.meter = meter
        self._environment: Environment | None = None

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.is_global_zero and not trainer.sanity_checking and pl_module.state.step:
            with self.meter.paused():
                self.summarize(trainer, pl_module)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._close(trainer, pl_module)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        with contextlib.suppress(GptkitError, OSError):  # what stopped the run is what must be told, not what follows from it
            self._close(trainer, pl_module)

    def _close(self, trainer: Any, pl_module: Any) -> None:
        if trainer.is_global_zero and pl_module.state.step:
            self.summarize(trainer, pl_module)
            write_report(self.folder)

    def summarize(self, trainer: Any, pl_module: Any) -> None:
        """Write summary.json as of now, and environment.json the first time."""
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
        here, rate = self._environment, self.meter.tokens_per_second
        mfu = None
        if rate and here.flops_per_token and here.peak_flops:
            mfu = utilisation(rate, here.flops_per_token, here.peak_flops, here.devices)
        measured = read_scalars(state.metrics)
        measured.update({f"val_{name}": value for name, value in state.val_metrics.items()})
        measured.update({name.replace("/", "_"): value for name, value in state.measured.items()})
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
            compared_by=VALIDATION_LOSS if state.compared_by is None else f"val_{state.compared_by}",
            extra=measured,
        )
