"""How far a run is, on standard error: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any

from lightning.pytorch.callbacks import Callback

from gptkit.terminal import show
from gptkit.training.reporting.speed import SpeedMeter

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from gptkit.training.state import TrainState

BAR_SECONDS = 0.25
LINE_SECONDS = 10.0


class Progress(Callback):
    """Shows step, loss, validation loss, tokens per second and time left, and where a step's time went where the objective says so.

    The loss is read, which waits for the device, only when it is shown: at most four times a second.
    """

    def __init__(self, meter: SpeedMeter, *, stream: IO[str] | None = None, clock: Callable[[], float] = time.perf_counter) -> None:
        self.meter = meter
        self.stream = stream or sys.stderr
        self._clock = clock
        self._bar: tuple[Bar, TaskID] | None = None
        self._next = 0.0
        self._begin = (0.0, 0)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.is_global_zero:
            return
        state: TrainState = pl_module.state
        self._begin = (self._clock(), state.tokens)
        self._next = self._clock() + (BAR_SECONDS if self.stream.isatty() else 1.0)
        if self.stream.isatty():
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            from gptkit.console import Console

            bar = Bar(
                BarColumn(bar_width=24),
                TextColumn("{task.description}", markup=False),
                console=Console(file=self.stream),
                auto_refresh=False,  # no thread of its own: it is drawn between steps
            )
            bar.start()
            self._bar = bar, bar.add_task("starting", total=state.last_step, completed=state.step)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        now = self._clock()
        if trainer.is_global_zero and now >= self._next and pl_module.state.step < pl_module.state.last_step:
            self._next = now + (LINE_SECONDS if self._bar is None else BAR_SECONDS)
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
            show(line, self.stream)
        else:
            bar, task = self._bar
            bar.update(task, completed=state.step, description=line, refresh=True)

    def _line(self, state: TrainState, last: bool) -> str:
        words = [f"step {state.step:,}/{state.last_step:,}"]
        if state.loss is not None:
            words.append(f"loss {float(state.loss):.4f}")
        if state.val_loss is not None:
            words.append(f"val {state.val_loss:.4f}")
            main = state.monitor or next(iter(state.val_metrics), None)
            words += [measured(main, state.val_metrics, interval=last)] if main is not None else []
        spent = {
            name.removeprefix("seconds_"): float(value) for name, value in state.metrics.items() if name.startswith("seconds_")
        }
        words += [", ".join(f"{name} {seconds:.2g} s" for name, seconds in spent.items())] if spent else []
        rate = self.meter.tokens_per_second or self._rate_so_far(state.tokens)
        if rate:
            words += [f"{rate:,.0f} tokens/s"] if self.meter.told else []
            per_step = state.tokens / state.step if state.step else 0.0
            left = (state.last_step - state.step) * per_step / rate
            words.append(f"{duration(left)} left" if left else f"took {duration(self.meter.wall_seconds)} in all")
        return "  ".join(words)

    def _rate_so_far(self, tokens: int) -> float:
        begin, had = self._begin
        return (tokens - had) / max(self._clock() - begin, 1e-9)


def measured(name: str, metrics: Mapping[str, float], *, interval: bool) -> str:
    """A metric in words; where wanted and there, with its 95% interval, which is beside it as `<name>_low` and `<name>_high`."""
    words = f"{name} {metrics[name]:.4f}"
    if not interval or f"{name}_low" not in metrics:
        return words
    return f"{words} (95%: {metrics[f'{name}_low']:.4f} to {metrics[f'{name}_high']:.4f})"


def duration(seconds: float) -> str:
    """Seconds in the two largest units that matter: "2 h 05 min", "3 min 20 s", "12 s"."""
    whole = round(seconds)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, second = divmod(rest, 60)
    if days:
        return f"{days} d {hours:02d} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {second:02d} s" if minutes else f"{second} s"
