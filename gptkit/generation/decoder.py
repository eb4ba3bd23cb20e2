"""The forward passes of decoding: prefill, then one token per row at each step, with a cache."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gptkit.data.padding import pad_sequences, sequence_lengths
from gptkit.generation.prefill import Prefill, forward, groups_of_equal_length
from gptkit.model.base import Cache, Model
from gptkit.model.evaluation_mode import decoding_mode
from gptkit.model.packed_weights import minimum_rows


class Decoder:
    """Computes the logits of the next token of every row. Shapes: B rows, T time, D width, V vocabulary.

    The model runs without dropout and gradients, and its mode is restored after every call.
    """

    logits: Tensor
    """(B, V) logits of the next token of each row."""

    def __init__(self, model: Model, prompts: Sequence[Sequence[int]] = (), copies: Sequence[int] = (), *, length: int) -> None:
        """Read prompts.

        Args:
            prompts: token ids, at least one each.
            copies: number of rows that continue each prompt.
            length: maximum number of tokens of a row, including its prompt.
        """
        self.model = model
        self.device = next(model.parameters()).device
        self.length = length
        self.rows = 0
        self._minimum_rows = minimum_rows(model)
        self._cache_rows = 0
        self.cache = model.cache(0, length)
        self.can_extend = bool(getattr(self.cache, "can_extend", False))
        """Whether rows can be added while others are decoded."""
        if prompts:
            self.read(prompts, copies)

    def read(self, prompts: Sequence[Sequence[int]], copies: Sequence[int]) -> None:
        """Read prompts, and add their rows after the present ones, of which there are none unless `can_extend`."""
        if not (self.can_extend and self.device.type == "cpu"):
            with decoding_mode(self.model):
                self._add(*self._read_together(prompts), copies)
            return
        # every prompt without padding, so that its hidden states do not depend on other prompts
        is_batch_invariant = bool(getattr(self.cache, "is_batch_invariant", False))
        order: list[int] = []
        for group in groups_of_equal_length(prompts, is_batch_invariant=is_batch_invariant):
            prefill = Prefill(self.model, [prompts[index] for index in group])
            while not prefill.is_done:
                prefill.step()
            self.add(prefill, [copies[index] for index in group])
            order += [index for index in group for _ in range(copies[index])]
        first = self.rows - len(order)
        if order != sorted(order):
            places = sorted(range(len(order)), key=lambda place: order[place])
            self.select([*range(first), *(first + place for place in places)])

    def add(self, prefill: Prefill, copies: Sequence[int]) -> None:
        """Add the rows of a prefill that is done after the present ones, of which there are none unless `can_extend`.

        Args:
            prefill: its cache is used up.
            copies: number of rows that continue each of its prompts.
        """
        with decoding_mode(self.model):
            self._add(prefill.cache, prefill.hidden, copies)

    def _read_together(self, prompts: Sequence[Sequence[int]]) -> tuple[Cache, Tensor]:
        """Read the prompts in one call, padded on the right. Returns the cache and the hidden states (P, D) of the last tokens."""
        tokens, counts = pad_sequences(prompts), sequence_lengths(prompts)  # (P, T), (P,)
        cache = self.model.cache(len(prompts), max(map(len, prompts)) if self.can_extend else self.length)
        cache.receive(counts)
        hidden = forward(self.model, tokens.to(self.device), cache)  # (P, T, D)
        return cache, hidden[torch.arange(len(prompts), device=self.device), counts.to(self.device) - 1]

    def _add(self, cache: Cache, hidden: Tensor, copies: Sequence[int]) -> None:
        """Add rows of a cache and the logits after the hidden states (P, D)."""
        rows = [row for row, count in enumerate(copies) for _ in range(count)]
        padded = torch.tensor(self._pad_rows(rows), device=self.device)
        logits = self.model.logits(hidden[padded])[: len(rows)]
        if not self.can_extend:
            if self.rows:
                raise ValueError("the cache of this model does not support rows that join a batch")
            self.cache, self.logits = cache, logits
            if padded.tolist() != list(range(len(copies))):
                cache.select(padded)
            self.rows, self._cache_rows = len(rows), len(padded)
            return
        if rows != list(range(len(copies))):
            cache.select(torch.tensor(rows, device=self.device))
        if self._cache_rows > self.rows:
            self.cache.select(torch.arange(self.rows, device=self.device))
        self.cache.extend(cache)  # type: ignore[attr-defined]
        self.logits = torch.cat([self.logits, logits]) if self.rows else logits
        self.rows += len(rows)
        self._cache_rows = self.rows

    def feed(self, tokens: Tensor) -> None:
        """Read one token per row: (B,) int64 on the model's device."""
        with decoding_mode(self.model):
            if self._cache_rows < self._minimum_rows:
                self._cache_rows = self._minimum_rows
                self.cache.select(torch.tensor(self._pad_rows(range(self.rows)), device=self.device))
            missing = self._cache_rows - self.rows
            if missing > 0:
                tokens = torch.cat([tokens, tokens[:1].expand(missing)])
            self.logits = self.model.logits(forward(self.model, tokens.unsqueeze(1), self.cache)[:, 0])[: self.rows]

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order. Rows may be repeated."""
        if not rows and not self.can_extend:  # the next prompts get a new cache
            self.rows = 0
            return
        with decoding_mode(self.model):
            self.rows = len(rows)
            padded = self._pad_rows(rows) if rows else []
            self._cache_rows = len(padded)
            self.cache.select(torch.tensor(padded, dtype=torch.int64, device=self.device))
            self.logits = self.logits[torch.tensor(rows, dtype=torch.int64, device=self.device)]

    def _pad_rows(self, rows: Sequence[int]) -> list[int]:
        """Pad the rows with copies of the first one to the minimum number of rows. Results of the copies are not used."""
        return [*rows, *[rows[0]] * (self._minimum_rows - len(rows))]

    def close(self) -> None:
        """Reshard the weights that a sharded model has gathered for its forward passes."""
        for module in self.model.modules():
            reshard = getattr(module, "reshard", None)  # applies to the module's own weights, not to those of submodules
            if reshard is not None:
                reshard()
