"""The positions of the tokens of a decoding call. The model computes them once per call for all layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gptkit.attention.masks import banded_mask, causal_mask

LANES = 16
"""The number of keys that CPU kernels sum in parallel. They sum a remainder in another order, so the number of keys is rounded up
to a multiple. Masked keys at the end then have no effect, and the result of a row does not depend on longer rows of the batch."""


def round_up(length: int) -> int:
    """Round up to a multiple of `LANES`."""
    return -(-length // LANES) * LANES


class Positions:
    """The positions of T consecutive tokens of each of B rows, after the tokens that the rows have already read.

    The slot of a key in a cache is its position in its row, so a causal mask hides both later tokens and the padding of shorter
    rows: padding comes after the last real token, and is overwritten before a query can attend to it.
    """

    end: int
    """The end of the slots that queries of this call read. On the CPU a multiple of `LANES`; the mask hides empty slots."""

    def __init__(self, lengths: Sequence[int], counts: Sequence[int], width: int, lengths_tensor: Tensor) -> None:
        """Compute the positions of one call.

        Args:
            lengths: number of tokens that each of B rows has read.
            counts: number of real tokens of each row in this call; the rest is padding on the right.
            width: number of tokens T per row in this call.
            lengths_tensor: (B,) int64, `lengths` on the model's device.
        """
        self.width = width
        self.counts = counts
        self.first = min(lengths, default=0)
        """The position of the first query of the shortest row."""
        self.is_prefill = not any(lengths)
        """Whether no row has read tokens, so that causal attention among the tokens of this call is sufficient."""
        is_padded = any(count != width for count in counts)
        is_uniform = not is_padded and len(set(lengths)) <= 1
        self.start: int | None = max(lengths, default=0) if is_uniform or self.is_prefill else None
        """The position of the first token if all rows are written to the same slots, otherwise None."""
        device = lengths_tensor.device
        steps = torch.arange(width, device=device)
        if self.start is not None:
            self.end = self.start + width
            self.position_ids = (self.start + steps).unsqueeze(0)  # (1, T)
        else:
            self.end = max(length + count for length, count in zip(lengths, counts, strict=True))
            self.position_ids = lengths_tensor.unsqueeze(1) + steps  # (B, T)
            if is_padded:  # padding gets the last real position, so that it stays within the context and has a key
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
        """Whether some query does not attend to all slots before `end`. Always true on the CPU, where kernels without a mask round
        differently."""
        self._masks: dict[tuple[int, int | None], Tensor] = {}

    def mask(self, window: int | None = None, first: int = 0) -> Tensor:
        """Return the mask of the keys `first` to `end` - 1 of each query, (1 or B, 1, T, end - first) bool, for all heads.

        Args:
            window: number of keys of a query, including its own; None: all.
            first: position of the first key.
        """
        key = (first, window)
        if key not in self._masks:
            keys = torch.arange(first, self.end, device=self.position_ids.device)
            mask = causal_mask(self.position_ids, keys) if window is None else banded_mask(self.position_ids, keys, window)
            self._masks[key] = mask.unsqueeze(1)
        return self._masks[key]
