"""The tensors of a batch that is being decoded: a cache, and what each row reads next."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gptkit.data.padding import pad_sequences, sequence_lengths
from gptkit.model.base import Cache, Model
from gptkit.model.evaluation_mode import decoding_mode
from gptkit.model.packed_weights import least_rows

FEWEST = 4
"""Tokens from which on prompts are read several at once: with fewer rows, a processor's products have kernels of their own."""


class Decoder:
    """Logits of the next token, one call after the other. Shapes: B rows, T time, D width, V vocabulary.

    The model runs without dropout and without gradients, and is left in the mode in which it was found.
    """

    def __init__(self, model: Model, prompts: Sequence[Sequence[int]], copies: Sequence[int], *, length: int) -> None:
        """Read the prompts, each once.

        Args:
            prompts: token ids, of any lengths of at least 1.
            copies: how many rows continue each prompt.
            length: tokens of the longest row at its end.
        """
        self.model = model
        self.device = next(model.parameters()).device
        self.rows = sum(copies)
        self._least = least_rows(model)
        rows = self._at_least([row for row, count in enumerate(copies) for _ in range(count)])
        with decoding_mode(model):
            self.cache = model.cache(len(prompts), length)
            if self.device.type == "cpu" and getattr(self.cache, "can_join", False):
                last = self._read_apart(prompts, rows, length)
            else:
                last = self._read_together(prompts, rows)
            self.logits = model.logits(last)[: self.rows]
            """(B, V) for the token that comes next in each row."""

    def _read_apart(self, prompts: Sequence[Sequence[int]], rows: Sequence[int], length: int) -> Tensor:
        """Read every prompt at its own length, so that its hidden states do not depend on the others: (B, D) of the last tokens."""
        alike: dict[int, list[int]] = {}
        several = getattr(self.cache, "reads_several", False)
        for number, prompt in enumerate(prompts):  # those of one length share a call where more rows change no row
            alike.setdefault(len(prompt) if several and len(prompt) >= FEWEST else -number, []).append(number)
        parts, last = [], []
        for numbers in alike.values():
            cache = self.model.cache(len(numbers), len(prompts[numbers[0]]))
            tokens = torch.tensor([prompts[number] for number in numbers], device=self.device)
            last.append(run(self.model, tokens, cache)[:, -1])
            parts.append(cache)
        place = {number: place for place, number in enumerate(number for numbers in alike.values() for number in numbers)}
        rows = [place[row] for row in rows]
        index = torch.tensor(rows, device=self.device)
        self.cache = self.model.cache(len(rows), length)
        self.cache.join(parts, index)  # type: ignore[attr-defined]
        return torch.cat(last)[index]

    def _read_together(self, prompts: Sequence[Sequence[int]], rows: Sequence[int]) -> Tensor:
        """Read the prompts in one call, padded on the right: (B, D) of the last tokens."""
        tokens, counts = pad_sequences(prompts), sequence_lengths(prompts)  # (B, T), (B,)
        self.cache.receive(counts)
        hidden = run(self.model, tokens.to(self.device), self.cache)  # (B, T, D)
        last = hidden[torch.arange(len(prompts), device=self.device), counts.to(self.device) - 1]  # (B, D)
        index = torch.tensor(rows, device=self.device)
        if list(rows) != list(range(len(prompts))):
            self.cache.select(index)
        return last[index]

    def feed(self, tokens: Tensor) -> None:
        """Read one more token in each row: (B,) int64 on the model's device."""
        with decoding_mode(self.model):
            missing = self._least - self.rows
            if missing > 0:
                tokens = torch.cat([tokens, tokens[:1].expand(missing)])
            self.logits = self.model.logits(run(self.model, tokens.unsqueeze(1), self.cache)[:, 0])[: self.rows]

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order, repeats allowed."""
        with decoding_mode(self.model):
            self.rows = len(rows)
            self.cache.select(torch.tensor(self._at_least(rows), device=self.device))
            self.logits = self.logits[torch.tensor(rows, device=self.device)]

    def _at_least(self, rows: Sequence[int]) -> list[int]:
        """The rows, and the first again until they are as many as the processor's kernels want; what these give is never used."""
        return [*rows, *[rows[0]] * (self._least - len(rows))]

    def close(self) -> None:
        """Give back what decoding keeps: weights that a sharded model gathers for its forward pass stay gathered until then."""
        for module in self.model.modules():
            reshard = getattr(module, "reshard", None)  # of this module's own weights, not of those within
            if reshard is not None:
                reshard()


def run(model: Model, tokens: Tensor, cache: Cache) -> Tensor:
    """The model's forward pass, not compiled even where the model is: every length would be compiled anew."""
    return model._call_impl(tokens, cache=cache)  # type: ignore[no-untyped-call, no-any-return]
