"""The forward passes of decoding: prefill, then one token per row at each step, with a cache."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gptkit.data.padding import pad_sequences, sequence_lengths
from gptkit.model.base import Cache, Model
from gptkit.model.evaluation_mode import decoding_mode
from gptkit.model.packed_weights import minimum_rows

BATCHED_PREFILL_TOKENS = 4
"""Minimum length of prompts that share a forward pass. With fewer rows, matrix products on a CPU use other kernels."""


class Decoder:
    """Computes the logits of the next token of every row. Shapes: B rows, T time, D width, V vocabulary.

    The model runs without dropout and gradients, and its mode is restored after every call.
    """

    def __init__(self, model: Model, prompts: Sequence[Sequence[int]], copies: Sequence[int], *, length: int) -> None:
        """Read every prompt once.

        Args:
            prompts: token ids, at least one each.
            copies: number of rows that continue each prompt.
            length: maximum number of tokens of a row, including its prompt.
        """
        self.model = model
        self.device = next(model.parameters()).device
        self.rows = sum(copies)
        self._minimum_rows = minimum_rows(model)
        rows = self._pad_rows([row for row, count in enumerate(copies) for _ in range(count)])
        with decoding_mode(model):
            self.cache = model.cache(len(prompts), length)
            if self.device.type == "cpu" and getattr(self.cache, "can_join", False):
                last = self._prefill_separately(prompts, rows, length)
            else:
                last = self._prefill_together(prompts, rows)
            self.logits = model.logits(last)[: self.rows]
            """(B, V) logits of the next token of each row."""

    def _prefill_separately(self, prompts: Sequence[Sequence[int]], rows: Sequence[int], length: int) -> Tensor:
        """Read every prompt without padding, so that its hidden states do not depend on other prompts.

        Returns:
            (B, D) hidden states of the last tokens.
        """
        groups: dict[int, list[int]] = {}
        is_invariant = getattr(self.cache, "is_batch_invariant", False)
        for index, prompt in enumerate(
            prompts
        ):  # prompts of equal length share a call if the number of rows does not affect results
            groups.setdefault(len(prompt) if is_invariant and len(prompt) >= BATCHED_PREFILL_TOKENS else -index, []).append(index)
        caches, last = [], []
        for group in groups.values():
            cache = self.model.cache(len(group), len(prompts[group[0]]))
            tokens = torch.tensor([prompts[index] for index in group], device=self.device)
            last.append(forward(self.model, tokens, cache)[:, -1])
            caches.append(cache)
        order = {index: row for row, index in enumerate(index for group in groups.values() for index in group)}
        rows = [order[row] for row in rows]
        row_index = torch.tensor(rows, device=self.device)
        self.cache = self.model.cache(len(rows), length)
        self.cache.join(caches, row_index)  # type: ignore[attr-defined]
        return torch.cat(last)[row_index]

    def _prefill_together(self, prompts: Sequence[Sequence[int]], rows: Sequence[int]) -> Tensor:
        """Read the prompts in one call, padded on the right. Returns the hidden states (B, D) of the last tokens."""
        tokens, counts = pad_sequences(prompts), sequence_lengths(prompts)  # (B, T), (B,)
        self.cache.receive(counts)
        hidden = forward(self.model, tokens.to(self.device), self.cache)  # (B, T, D)
        last = hidden[torch.arange(len(prompts), device=self.device), counts.to(self.device) - 1]  # (B, D)
        row_index = torch.tensor(rows, device=self.device)
        if list(rows) != list(range(len(prompts))):
            self.cache.select(row_index)
        return last[row_index]

    def feed(self, tokens: Tensor) -> None:
        """Read one token per row: (B,) int64 on the model's device."""
        with decoding_mode(self.model):
            missing = self._minimum_rows - self.rows
            if missing > 0:
                tokens = torch.cat([tokens, tokens[:1].expand(missing)])
            self.logits = self.model.logits(forward(self.model, tokens.unsqueeze(1), self.cache)[:, 0])[: self.rows]

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order. Rows may be repeated."""
        with decoding_mode(self.model):
            self.rows = len(rows)
            self.cache.select(torch.tensor(self._pad_rows(rows), device=self.device))
            self.logits = self.logits[torch.tensor(rows, device=self.device)]

    def _pad_rows(self, rows: Sequence[int]) -> list[int]:
        """Pad the rows with copies of the first one to the minimum number of rows. Results of the copies are not used."""
        return [*rows, *[rows[0]] * (self._minimum_rows - len(rows))]

    def close(self) -> None:
        """Reshard the weights that a sharded model has gathered for its forward passes."""
        for module in self.model.modules():
            reshard = getattr(module, "reshard", None)  # applies to the module's own weights, not to those of submodules
            if reshard is not None:
                reshard()


def forward(model: Model, tokens: Tensor, cache: Cache) -> Tensor:
    """Run the forward pass of the model without compilation, since every new length would be compiled again."""
    return model._call_impl(tokens, cache=cache)  # type: ignore[no-untyped-call, no-any-return]
