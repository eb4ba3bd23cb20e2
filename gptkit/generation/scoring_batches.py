"""Batches of sequences whose continuations are scored: which ones share a forward pass, and what several continuations share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

TOKENS_PER_PASS = 4096
"""Maximum number of tokens of a forward pass, including padding."""
CACHED_TOKENS = 8192
"""Maximum number of tokens in the cache of a forward pass over continuations that share contexts."""
SHARED_TOKENS = {"cpu": 512}
"""Maximum number of tokens that are read for the contexts and continuations of a batch, padding included, by type of device; by
default CACHED_TOKENS. On a CPU, larger batches have more padding and are not faster."""


@dataclass(frozen=True)
class SharedContext:
    """Several continuations of one context. What they have in common at their beginning is read once, like the context."""

    context: list[int]
    common: list[int]
    """The tokens with which every continuation begins. The last token of a continuation is only predicted, so it is not common."""
    rests: list[list[int]]
    """The other tokens of each continuation, at least one."""

    @classmethod
    def of(cls, context: list[int], continuations: Sequence[list[int]]) -> SharedContext:
        """Return the options of a context."""
        inputs = (continuation[:-1] for continuation in continuations)
        alike = takewhile(lambda tokens: len(set(tokens)) == 1, zip(*inputs, strict=False))
        common = [tokens[0] for tokens in alike]
        return cls(context, common, [continuation[len(common) :] for continuation in continuations])

    @property
    def prefix(self) -> list[int]:
        """The context and the common tokens."""
        return self.context + self.common

    @property
    def longest_rest(self) -> int:
        """The number of tokens of the longest rest."""
        return max(map(len, self.rests))


def split_continuations(lengths: Sequence[int]) -> Iterator[slice]:
    """Split the continuations of one context into parts whose cache has at most CACHED_TOKENS tokens.

    Args:
        lengths: the number of tokens of each continuation with its context.
    """
    size = max(2, CACHED_TOKENS // max(lengths))
    for first in range(0, len(lengths), size):
        yield slice(first, first + size)


def group_by_size(sizes: Sequence[int], rows: int, budget: int) -> list[list[int]]:
    """Group indices by size, largest first, into batches of at most `rows` indices and `budget` tokens, padding included."""
    batches: list[list[int]] = []
    room = 0
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        if room == 0:
            batches.append([])
            room = max(1, budget // max(1, sizes[index]))
            room = min(room, rows) if rows else room
        batches[-1].append(index)
        room -= 1
    return batches


def group_contexts(groups: Sequence[SharedContext], rows: int, device: str) -> list[list[int]]:
    """Batch the indices of groups, such that rests and prefixes of a batch have similar lengths.

    Args:
        groups: the options of each context.
        rows: maximum number of contexts of a batch; 0: any.
        device: the type of device, which determines how many tokens a batch may have.
    """
    budget = SHARED_TOKENS.get(device, CACHED_TOKENS)
    prefixes = [len(group.prefix) for group in groups]
    rests = [group.longest_rest for group in groups]
    order = sorted(range(len(groups)), key=lambda index: _order(rests[index], prefixes[index]))
    batches: list[list[int]] = []
    prefix = rest = options = 0
    for index in order:
        prefix, rest = max(prefix, prefixes[index]), max(rest, rests[index])
        options += len(groups[index].rests)
        count = len(batches[-1]) + 1 if batches else 1
        is_full = count * prefix + options * rest > budget or options * (prefix + rest) > CACHED_TOKENS
        if not batches or is_full or (rows and count > rows):
            batches.append([])
            prefix, rest, options = prefixes[index], rests[index], len(groups[index].rests)
        batches[-1].append(index)
    return batches


def _order(rest: int, prefix: int) -> tuple[int, int]:
    """Return the sort key of options: the order of magnitude of their rests, longest first, and then the length of the prefix.

    Prefixes grow and shrink by turns, so that a batch that spans two orders of magnitude has similar prefixes.
    """
    magnitude = round(2 * math.log2(rest))
    return -magnitude, prefix if magnitude % 2 else -prefix
