"""What a run prints to standard error: a start line, a progress bar or progress lines, and an end line."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import lightning
from lightning.pytorch.callbacks import Callback

from gptkit.chat_template import PlainConfig
from gptkit.data import DataConfig
from gptkit.model.base import parameter_count
from gptkit.objective import AuxLMConfig
from gptkit.objective.pretraining_mix import mixed_in
from gptkit.page.numbers import format_duration
from gptkit.run_config import RunConfig
from gptkit.terminal import print_text
from gptkit.training.duration import describe_ignored_keys
from gptkit.training.reporting.report import FILE as REPORT
from gptkit.training.reporting.speed_and_mfu import SpeedMeter
from gptkit.training.strategies import is_first_process

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from gptkit.training.module import TrainModule
    from gptkit.training.train_state import TrainState

BAR_SECONDS = 0.25
LINE_SECONDS = 10.0


class ProgressDisplay(Callback):
    """Shows step, loss, validation loss, tokens per second, time left, and the seconds of each phase if the objective times them.

    Reading the loss waits for the device, so it is read only when it is shown: at most four times a second.
    """

    def __init__(self, meter: SpeedMeter, *, stream: IO[str] | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self.meter = meter
        self.stream = stream or sys.stderr
        self._clock = clock
        self._bar: tuple[Bar, TaskID] | None = None
        self._next_update = 0.0
        self._start = (0.0, 0)  # seconds on the clock, tokens

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.is_global_zero:
            return
        state: TrainState = pl_module.state
        self._start = (self._clock(), state.tokens)
        self._next_update = self._clock() + (BAR_SECONDS if self.stream.isatty() else 1.0)
        if self.stream.isatty():
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            from gptkit.terminal import make_console

            bar = Bar(
                BarColumn(bar_width=24),
                TextColumn("{task.description}", markup=False),
                console=make_console(file=self.stream),
                auto_refresh=False,  # no thread: the bar is updated between steps
            )
            bar.start()
            self._bar = bar, bar.add_task("starting", total=state.last_step, completed=state.step)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        now = self._clock()
        if trainer.is_global_zero and now >= self._next_update and pl_module.state.step < pl_module.state.last_step:
            self._next_update = now + (LINE_SECONDS if self._bar is None else BAR_SECONDS)
            self._show(pl_module.state)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.is_global_zero and self._bar is not None and not trainer.sanity_checking:
            self._show(pl_module.state)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.is_global_zero:
            self._show(pl_module.state, last=True)
        self._close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None

    def _show(self, state: TrainState, *, last: bool = False) -> None:
        line = self._line(state, last)
        if self._bar is None:
            print_text(line, self.stream)
        else:
            bar, task = self._bar
            bar.update(task, completed=state.step, description=line, refresh=True)

    def _line(self, state: TrainState, last: bool) -> str:
        words = [f"step {state.step:,}/{state.last_step:,}"]
        if state.loss is not None:
            words.append(f"loss {float(state.loss):.4f}")
        if state.val_loss is not None:
            words.append(f"val {state.val_loss:.4f}")
            main_metric = state.monitor or next(iter(state.val_metrics), None)
            words += [format_metric(main_metric, state.val_metrics, interval=last)] if main_metric is not None else []
        phase_seconds = {
            name.removeprefix("seconds_"): float(value) for name, value in state.metrics.items() if name.startswith("seconds_")
        }
        words += [", ".join(f"{name} {seconds:.2g} s" for name, seconds in phase_seconds.items())] if phase_seconds else []
        rate = self.meter.tokens_per_second or self._rate_so_far(state.tokens)
        if rate:
            words += [f"{rate:,.0f} tokens/s"] if self.meter.counts_input_tokens else []
            tokens_per_step = state.tokens / state.step if state.step else 0.0
            seconds_left = (state.last_step - state.step) * tokens_per_step / rate
            total = f"took {format_duration(self.meter.wall_seconds)} in all"
            words.append(f"{format_duration(seconds_left)} left" if seconds_left else total)
        return "  ".join(words)

    def _rate_so_far(self, tokens: int) -> float:
        start_time, start_tokens = self._start
        return (tokens - start_tokens) / max(self._clock() - start_time, 1e-9)


def format_metric(name: str, metrics: Mapping[str, float], *, interval: bool) -> str:
    """Format a metric, with its 95% interval if `interval` is true and the metrics hold `<name>_low` and `<name>_high`."""
    words = f"{name} {metrics[name]:.4f}"
    if not interval or f"{name}_low" not in metrics:
        return words
    return f"{words} (95%: {metrics[f'{name}_low']:.4f} to {metrics[f'{name}_high']:.4f})"


def print_message(line: str) -> None:
    """Print a line to standard error, on the first process only."""
    if is_first_process():
        print_text(line, sys.stderr)


def start_message(module: TrainModule, trainer: lightning.Trainer) -> str:
    """Return the start line: the model, its data, the length of the run, the device and the folder."""
    settings, state = module.settings, module.state
    kind = trainer.strategy.root_device.type
    device = f"{trainer.world_size} x {kind}" if trainer.world_size > 1 else kind
    verb = f"continuing at step {state.step:,}" if state.step else "training"
    objective_parameters = sum(parameter.numel() for parameter in module.objective.parameters() if parameter.requires_grad)
    and_objective = f" and {objective_parameters:,} of objective={settings.objective.name}" if objective_parameters else ""
    key = settings.objective.pretraining_key()
    and_data = f", {mixed_in(getattr(settings.objective, key))}" if key else ""
    up_to = "" if module.datasets["train"].lengths() is None else "up to "
    return (
        f"{verb}: {describe_model(module)}{and_objective}, "
        f"on {describe_source(settings.data)}, {settings.tokenizer.name} tokenizer of {module.tokenizer.size:,} ids, "
        f"{state.last_step:,} step{'s' if state.last_step > 1 else ''} of {settings.batch.size} x {up_to}{settings.model.context} "
        f"tokens{describe_ignored_keys(settings)}, {module.objective.describe(module.datasets)}{and_data}, "
        f"{device}, {trainer.precision}, in {module.folder}"
    )


def describe_model(module: TrainModule) -> str:
    """Return the model's name and size, and which of its parameters are trained."""
    settings, parameters = module.settings, list(module.model.parameters())
    trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    total = parameter_count(module.model)
    if settings.adapter is None:
        return f"{settings.model.name} of {total:,}{'' if trained else ' frozen'} parameters"
    return f"{settings.adapter.name} of {trained:,} parameters on {settings.model.name} of {total - trained:,} frozen ones"


def describe_source(data: DataConfig) -> str:
    """Return the name of a data source, with its path if it has one."""
    path = getattr(data, "path", None)
    paths = [str(each) for each in path] if isinstance(path, list) else [str(path)] if path else []
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{data.name} ({paths[0]}{more})" if paths else data.name


def end_message(settings: RunConfig, folder: Path) -> str:
    """Return the end line: the path of the report and the command that uses the model."""
    return f"report: {folder / REPORT}; to use it: {usage_command(settings, folder)}"


def usage_command(settings: RunConfig, folder: Path) -> str:
    """Return the command that uses a trained model: it classifies, scores, generates text, or holds a conversation."""
    run, text = shlex.quote(str(folder)), 'prompt="..."'
    if isinstance(settings.objective, AuxLMConfig):
        return f"gptkit predict checkpoint={run} input=texts.csv"
    if not settings.objective.generates_text:
        return f"gptkit generate checkpoint={shlex.quote(settings.init_from or 'runs/policy')} {text} best_of=4 reward={run}"
    if settings.chat_template is not None and not isinstance(settings.chat_template, PlainConfig):
        return f"gptkit chat checkpoint={run}"
    return f"gptkit generate checkpoint={run} {text}"
