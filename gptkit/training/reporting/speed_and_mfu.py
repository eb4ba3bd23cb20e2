"""Measures tokens per second in steady state, model FLOPs utilisation, peak memory, and the time that a run has taken."""

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
    """Measures the time of the steps between log rows, which are called windows.

    Validation, samples and checkpoints are excluded, and the first window is skipped as warm-up. Code that spends time on anything
    but training runs in `with meter.pause():`.
    """

    def __init__(self, *, previous_seconds: float = 0.0, clock: Callable[[], float] = time.perf_counter) -> None:
        """Create a meter.

        Args:
            previous_seconds: seconds that the run took before it was resumed.
            clock: returns seconds since any fixed time.
        """
        self._clock = clock
        self.counts_input_tokens = True
        """Whether the counted tokens are those that the model reads, so that their rate measures speed."""
        self._previous_seconds = previous_seconds
        self._start: float | None = None
        self._idle = 0.0  # seconds of the open window that were not training
        self._depth = 0
        self._window_start = 0.0
        self._tokens = 0
        self._windows: list[tuple[int, float]] = []  # (tokens, seconds)

    def start(self, tokens: int) -> None:
        """Start the clock. `tokens` were read before."""
        self._start = self._window_start = self._clock()
        self._tokens, self._idle = tokens, 0.0

    def end_window(self, tokens: int) -> float | None:
        """End a window after `tokens` read in all, and return its tokens per second. The device must have finished its steps."""
        if self._start is None:
            return None
        now = self._clock()
        read, seconds = tokens - self._tokens, now - self._window_start - self._idle
        self._window_start, self._tokens, self._idle = now, tokens, 0.0
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
            _finish_queued_work()  # steps that are still queued on the device count as training
            self._paused_at = self._clock()
        self._depth += 1

    def _resume(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            _finish_queued_work()
            self._idle += self._clock() - self._paused_at

    @property
    def tokens_per_second(self) -> float | None:
        """The median over windows, weighted by their tokens. The first window counts only if it is the only one."""
        windows = self._windows[1:] or self._windows
        if not windows:
            return None
        rates = sorted((tokens / seconds, tokens) for tokens, seconds in windows)
        half, cumulative = sum(tokens for _, tokens in rates) / 2, 0
        for rate, tokens in rates:
            cumulative += tokens
            if cumulative >= half:
                return rate
        return rates[-1][0]

    @property
    def wall_seconds(self) -> float:
        """Seconds since training started, pauses included, plus the seconds before the run was resumed."""
        return self._previous_seconds + (0.0 if self._start is None else self._clock() - self._start)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.counts_input_tokens = pl_module.objective.counts_input_tokens
        self.start(pl_module.state.tokens)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self._window_start, self._idle = self._clock(), 0.0  # trial passes before the first step are not training

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self._pause()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._resume()


def model_flops_utilization(tokens_per_second: float, flops_per_token: float, peak_flops: float, devices: int = 1) -> float:
    """Return the model FLOPs utilisation: the operations that the model needs, over the peak of the devices in that time.

    Source: "PaLM: Scaling Language Modeling with Pathways", appendix B.
    """
    return tokens_per_second * flops_per_token / (peak_flops * devices)


def peak_memory_bytes() -> int:
    """Return the peak memory so far: of the tensors on the GPU if one is in use, otherwise of the process."""
    if _cuda_in_use():
        return max(torch.cuda.max_memory_allocated(index) for index in range(torch.cuda.device_count()))
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return resident if sys.platform == "darwin" else resident * 1024  # kibibytes on Linux


def _finish_queued_work() -> None:
    if _cuda_in_use():
        torch.cuda.synchronize()


def _cuda_in_use() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
