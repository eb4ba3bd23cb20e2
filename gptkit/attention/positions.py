"""Positions of the tokens of one decoding call: the model computes them once per call, all layers share them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gptkit.attention.masks import banded_mask, causal_mask

LANES = 16
"""Keys that a processor's kernels add up side by side. A rest would be added in another order, and a multiple leaves none: hidden
keys at the end then change nothing, and a row's result does not depend on longer rows beside it."""


def round_up(length: int) -> int:
    """The next multiple of `LANES`."""
    return -(-length // LANES) * LANES


class Positions:
    """T consecutive tokens of each of B rows, after those that the rows have already read.

    The slot of a key in a cache is its position in its row, so "at or before the query" hides both the future and the
    padding of shorter rows: padding stands behind the last real token and is overwritten before anything could see it.
    """

    end: int
    """Slots that queries of this call look at: those before it. On the CPU a multiple of `LANES`; the mask hides the empty ones."""

    def __init__(self, lengths: Sequence[int], counts: Sequence[int], width: int, lengths_tensor: Tensor) -> None:
        """Compute the positions of one call.

        Args:
            lengths: B, tokens already read in each row.
            counts: B, how many of the call's tokens are real in each row; the rest is padding on the right.
            width: T, tokens per row in this call.
            lengths_tensor: (B,) int64, `lengths` on the model's device.
        """
        self.width = width
        self.counts = counts
        self.first = min(lengths, default=0)
        """Position of the first query of the shortest row."""
        self.is_prefill = not any(lengths)
        """Nothing was read before: plain causal attention among the call's own tokens is enough."""
        padded = any(count != width for count in counts)
        uniform = not padded and len(set(lengths)) <= 1
        self.start: int | None = max(lengths, default=0) if uniform or self.is_prefill else None
        """Position of the first token, where every row may be written at the same place; else None."""
        device = lengths_tensor.device
        steps = torch.arange(width, device=device)
        if self.start is not None:
            self.end = self.start + width
            self.position_ids = (self.start + steps).unsqueeze(0)  # (1, T)
        else:
            self.end = max(length + count for length, count in zip(lengths, counts, strict=True))
            self.position_ids = lengths_tensor.unsqueeze(1) + steps  # (B, T)
            if padded:  # padding takes the last real position, so that it stays inside the context and always sees a key
                counts_tensor = torch.tensor(counts, device=device).unsqueeze(1)  # (B, 1)
                rows, columns = (steps < counts_tensor).nonzero(as_tuple=True)
                last = (lengths_tensor.unsqueeze(1) + counts_tensor - 1).clamp(min=0)  # (B, 1)
                self.position_ids = torch.minimum(self.position_ids, last)
            else:
                rows = torch.arange(len(lengths), device=device).repeat_interleave(width)
                columns = steps.repeat(len(lengths))
            self.write_index = rows, columns, self.position_ids[rows, columns]
            """Index of the real tokens of the call: their rows, columns and positions, (N,) each. Set only if `start` is None."""
        on_cpu = device.type == "cpu"
        if on_cpu:
            self.end = round_up(self.end)
        self.needs_mask = on_cpu or width > 1 or self.start is None
        """Not every query sees every slot before `end`. On the CPU it is always so: kernels with and without a mask differ."""
        self._masks: dict[tuple[int, int | None], Tensor] = {}

    def mask(self, window: int | None = None, first: int = 0) -> Tensor:
        """Which of the keys `first` ... `end` - 1 each query sees: (1 or B, 1, T, end - first) bool, the same for all heads.

        Args:
            window: keys that a query sees, itself included; None: all.
            first: position of the first key.
        """
        key = (first, window)
        if key not in self._masks:
            keys = torch.arange(first, self.end, device=self.position_ids.device)
            seen = causal_mask(self.position_ids, keys) if window is None else banded_mask(self.position_ids, keys, window)
            self._masks[key] = seen.unsqueeze(1)
        return self._masks[key]
