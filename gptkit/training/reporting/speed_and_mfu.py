"""How fast a run trains: tokens per second in steady state, utilisation of the device, memory, and time spent."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback


class SpeedMeter(Callback):
    """Times the steps between log rows, without validation, samples and saving, and without the first window, which warms up.

    Code that spends time on anything but training runs `with meter.pause():`.
    """

    def __init__(self, *, spent: float = 0.0, clock: Callable[[], float] = time.perf_counter) -> None:
        """Args:
        spent: seconds that the run took before it was continued.
        clock: seconds from any origin.
        """
        self._clock = clock
        self.counts_input_tokens = True
        """Whether the counted tokens are those that the model reads, so that their rate measures speed."""
        self._spent = spent
        self._begin: float | None = None
        self._idle = 0.0  # seconds of the open window that were not training
        self._depth = 0
        self._opened = 0.0
        self._tokens = 0
        self._windows: list[tuple[int, float]] = []  # (tokens, seconds)

    def start(self, tokens: int) -> None:
        """Start the clock; `tokens` were read before."""
        self._begin = self._opened = self._clock()
        self._tokens, self._idle = tokens, 0.0

    def end_window(self, tokens: int) -> float | None:
        """End a window at `tokens` read in all, which the device must have finished, and return its tokens per second."""
        if self._begin is None:
            return None
        now = self._clock()
        read, seconds = tokens - self._tokens, now - self._opened - self._idle
        self._opened, self._tokens, self._idle = now, tokens, 0.0
        if read <= 0 or seconds <= 0 or not self.counts_input_tokens:
            return None
        self._windows.append((read, seconds))
        return read / seconds

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Exclude the time in this context from training."""
        self._pause()
        try:
            yield
        finally:
            self._resume()

    def _pause(self) -> None:
        if self._depth == 0:
            _finish_queued_work()  # steps that were only queued are training, not what comes now
            self._paused_at = self._clock()
        self._depth += 1

    def _resume(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            _finish_queued_work()
            self._idle += self._clock() - self._paused_at

    @property
    def tokens_per_second(self) -> float | None:
        """The median over windows, each weighted by its tokens; the first window counts only while there is no other."""
        windows = self._windows[1:] or self._windows
        if not windows:
            return None
        rates = sorted((tokens / seconds, tokens) for tokens, seconds in windows)
        half, seen = sum(tokens for _, tokens in rates) / 2, 0
        for rate, tokens in rates:
            seen += tokens
            if seen >= half:
                return rate
        return rates[-1][0]

    @property
    def wall_seconds(self) -> float:
        """Seconds since training began, everything included, and those spent before the run was continued."""
        return self._spent + (0.0 if self._begin is None else self._clock() - self._begin)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.counts_input_tokens = pl_module.objective.counts_input_tokens
        self.start(pl_module.state.tokens)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self._opened, self._idle = self._clock(), 0.0  # trial steps before the first step are not training

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self._pause()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._resume()


def model_flops_utilization(tokens_per_second: float, flops_per_token: float, peak_flops: float, devices: int = 1) -> float:
    """Model FLOPs utilisation: the operations that the model needs, over what the devices could do in that time.

    Source: "PaLM: Scaling Language Modeling with Pathways", appendix B.
    """
    return tokens_per_second * flops_per_token / (peak_flops * devices)


def peak_memory_bytes() -> int:
    """The most memory held so far: by tensors on the GPU where there is one in use, else by the process."""
    if _cuda_in_use():
        return max(torch.cuda.max_memory_allocated(index) for index in range(torch.cuda.device_count()))
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return resident if sys.platform == "darwin" else resident * 1024  # kibibytes on Linux


def _finish_queued_work() -> None:
    if _cuda_in_use():
        torch.cuda.synchronize()


def _cuda_in_use() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]


def format_duration(seconds: float) -> str:
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
