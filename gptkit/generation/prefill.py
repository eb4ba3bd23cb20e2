"""Prefill: prompts are read in chunks, and prompts that begin alike can share the state of their beginning."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from gptkit.model.base import Cache, Model
from gptkit.model.evaluation_mode import decoding_mode

CHUNK = 64
"""The number of tokens of a chunk. It is fixed, since kernels round differently for other numbers of queries: the state of a prompt
then depends on its tokens alone, and chunks of different prompts and decoding steps can alternate."""

SHARED_PASS_TOKENS = 4
"""Minimum number of tokens per prompt in a forward pass over several prompts. With fewer rows, matrix products on a CPU use other
kernels."""

PREFIX_TOKENS = 16384
"""The number of tokens whose state a `PrefixCache` keeps by default."""


class PrefixCache:
    """The states of the beginnings of recent prompts, in whole chunks. The least recently used ones are forgotten."""

    def __init__(self, tokens: int = PREFIX_TOKENS) -> None:
        """Keep at most this number of tokens."""
        self._limit = tokens
        self._entries: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._tokens = 0

    def find(self, prompt: Sequence[int]) -> tuple[int, Any] | None:
        """Return the number of tokens of the longest known beginning of a prompt, and a copy of its state.

        At least one token of the prompt remains to be read, since its hidden state is needed.
        """
        best, length = None, 0
        begin = tuple(prompt[:-1])
        for ids in self._entries:
            shared = common_chunks(ids, begin)
            if shared > length:
                best, length = ids, shared
        if best is None:
            return None
        self._entries.move_to_end(best)
        return length, self._entries[best].prefix(length)

    def add(self, prompt: Sequence[int], cache: Any) -> None:
        """Keep the whole chunks of a prompt, whose state is the only row of a cache."""
        ids = tuple(prompt[: (len(prompt) - 1) // CHUNK * CHUNK])
        if not ids or len(ids) > self._limit or any(known[: len(ids)] == ids for known in self._entries):
            return
        for shorter in [known for known in self._entries if ids[: len(known)] == known]:
            del self._entries[shorter]
            self._tokens -= len(shorter)
        self._entries[ids] = cache.prefix(len(ids))
        self._tokens += len(ids)
        while self._tokens > self._limit:
            forgotten, _ = self._entries.popitem(last=False)
            self._tokens -= len(forgotten)


def common_chunks(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Return the number of tokens in the whole chunks that are equal at the beginning of two sequences."""
    limit = min(len(one), len(other)) // CHUNK * CHUNK
    return next((place for place in range(0, limit, CHUNK) if one[place : place + CHUNK] != other[place : place + CHUNK]), limit)


class Prefill:
    """Prompts of the same length that are read together, chunk by chunk. Shapes: P prompts, D width."""

    cache: Cache
    hidden: Tensor
    """(P, D) hidden states of the last tokens that were read."""

    def __init__(self, model: Model, prompts: Sequence[Sequence[int]], *, prefixes: PrefixCache | None = None) -> None:
        """
        Args:
            prompts: token ids, at least one each, of the same length.
            prefixes: shared states, used if there is a single prompt.
        """
        self._model, self._prompts = model, prompts
        self._prefixes = prefixes if len(prompts) == 1 else None
        self._length = len(prompts[0])
        self._device = next(model.parameters()).device
        self.read = 0
        """The number of tokens of each prompt that were read."""
        self._parts: Generator[None, None, Tensor] | None = None
        with decoding_mode(model):
            found = self._prefixes.find(prompts[0]) if self._prefixes is not None else None
            self.cache = model.cache(0 if found else len(prompts), self._length)
            if found is not None:
                self.read, prefix = found
                self.cache.extend(prefix)  # type: ignore[attr-defined]

    @property
    def is_done(self) -> bool:
        """Whether all tokens were read."""
        return self.read == self._length

    def step(self) -> None:
        """Read the next chunk."""
        with decoding_mode(self._model):
            self._end_chunk(forward(self._model, self._next_chunk(), self.cache))

    def step_part(self) -> None:
        """Compute the next part of a chunk: one of its layers, if the model supports that."""
        with decoding_mode(self._model):
            if self._parts is None:
                self._parts = self._model.forward_in_parts(self._next_chunk(), cache=self.cache)
            try:
                next(self._parts)
            except StopIteration as end:
                self._parts = None
                self._end_chunk(end.value)

    def _next_chunk(self) -> Tensor:
        tokens = [prompt[self.read : self.read + CHUNK] for prompt in self._prompts]
        return torch.tensor(tokens, device=self._device)  # (P, T)

    def _end_chunk(self, hidden: Tensor) -> None:
        self.hidden = hidden[:, -1]
        self.read += hidden.shape[1]
        if self.is_done and self._prefixes is not None:
            self._prefixes.add(self._prompts[0], self.cache)


def groups_of_equal_length(prompts: Sequence[Sequence[int]], *, is_batch_invariant: bool) -> list[list[int]]:
    """Group the numbers of prompts that one `Prefill` can read without an effect on its results."""
    groups: dict[int, list[int]] = {}
    for index, prompt in enumerate(prompts):
        last_chunk = (len(prompt) - 1) % CHUNK + 1
        key = len(prompt) if is_batch_invariant and last_chunk >= SHARED_PASS_TOKENS else -index - 1
        groups.setdefault(key, []).append(index)
    return list(groups.values())


def forward(model: Model, tokens: Tensor, cache: Cache) -> Tensor:
    """Run the forward pass of the model without compilation, since every new length would be compiled again."""
    return model._call_impl(tokens, cache=cache)  # type: ignore[no-untyped-call, no-any-return]
