"""An LSTM language model: what GPT-1 compares its Transformer with. Read from the bottom up: memory, packing, model.

Shapes: B batch, T time, D width, U units, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gptkit.attention.built import AttentionCache
from gptkit.model.built import BuiltModel, Cache
from gptkit.model.cache import DecodingCache
from gptkit.model.head import linear_head

if TYPE_CHECKING:
    from gptkit.model import LSTM

DEVIATION = 0.02  # GPT-1, section 4.1: weights from N(0, 0.02)


class State(AttentionCache):
    """What one layer remembers: its outputs and its cells after the last token of each row, (B, U) both."""

    def __init__(self, batch: int, units: int) -> None:
        self.shape = batch, units
        self.tensors: tuple[Tensor, ...] = ()

    def take(self, rows: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The state of these rows (N,), as nn.LSTM wants it beside its input x: (1, N, U) both, zeros where nothing was read."""
        if not self.tensors:
            self.tensors = x.new_zeros(self.shape), x.new_zeros(self.shape)
        hidden, cell = (tensor[rows].to(x.dtype).unsqueeze(0) for tensor in self.tensors)
        return hidden, cell

    def put(self, rows: Tensor, state: tuple[Tensor, Tensor]) -> None:
        """Remember (1, N, U) as the state of these rows; the others keep theirs."""
        self.tensors = tuple(old.index_copy(0, rows, new[0].to(old.dtype)) for old, new in zip(self.tensors, state, strict=True))

    def select(self, rows: Tensor) -> None:
        self.shape = len(rows), self.shape[1]
        self.tensors = tuple(tensor[rows] for tensor in self.tensors)


class Packing:
    """Sequences of different lengths that one call of nn.LSTM reads without padding, each from a state of its own.

    The sequences stand one behind the other. PyTorch wants all first tokens, then all second ones and so on, the longest sequence
    first; its own `pack_sequence` pads them all to the longest on the way, which a row of many short documents would pay dearly.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        """`lengths`: tokens of each of N sequences, all at least 1; their sum is S."""
        length = torch.tensor(lengths)  # (N,)
        order = length.argsort(descending=True, stable=True)  # (N,)
        rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))
        sequence = torch.arange(len(order)).repeat_interleave(length)  # (S,)
        position = torch.arange(len(sequence)) - (length.cumsum(0) - length)[sequence]  # (S,)
        packed = (position * len(order) + rank[sequence]).argsort()  # (S,)
        self.sizes = position.bincount()
        """How many sequences have a first token, a second one and so on; on the CPU, where PyTorch wants it."""
        self.order = order.to(device)
        """Which sequence is the longest, which the next."""
        self.packed = packed.to(device)
        self.unpacked = packed.argsort().to(device)

    def pack(self, x: Tensor) -> PackedSequence:
        """(S, D), one sequence behind the other."""
        return PackedSequence(x[self.packed], self.sizes)

    def unpack(self, packed: PackedSequence) -> Tensor:
        """What `pack` was given."""
        return packed.data[self.unpacked]


def document_lengths(segments: Tensor) -> list[int]:
    """Tokens of each document, row after row: (B, T) int64 ids -> N lengths. A document ends where the id changes."""
    begins = torch.ones_like(segments, dtype=torch.bool)
    begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
    starts = begins.flatten().nonzero().flatten()
    return starts.diff(append=starts.new_tensor([segments.numel()])).tolist()


def as_autocast(x: Tensor) -> Tensor:
    """x in the dtype of autocast, where that is on: for processors it converts the weights of an LSTM, and not what goes in."""
    device = x.device.type
    on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return x.to(torch.get_autocast_dtype(device)) if on else x


class BuiltLSTM(BuiltModel):
    """Parameters, as checkpoints name them: `wte.weight` (V, D), `blocks.<n>.` with nn.LSTM's own four of a layer, `output` (D, U).

    Positions need no parameters: the state knows them.
    """

    def __init__(self, settings: LSTM, *, vocabulary: int) -> None:
        super().__init__()
        self.settings = settings
        self.vocabulary = vocabulary
        self.context = settings.context
        self.wte = nn.Embedding(vocabulary, settings.width)
        sizes = [settings.width] + [settings.units] * (settings.layers - 1)
        self.blocks = nn.ModuleList(nn.LSTM(size, settings.units, batch_first=True) for size in sizes)
        self.output = nn.Linear(settings.units, settings.width)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        nn.init.normal_(self.wte.weight, std=DEVIATION)
        nn.init.normal_(self.output.weight, std=DEVIATION)
        nn.init.zeros_(self.output.bias)
        for block in self.blocks:
            block.reset_parameters()  # type: ignore[operator]

    def forward(self, tokens: Tensor, *, cache: Cache | None = None, segments: Tensor | None = None) -> Tensor:
        x = as_autocast(self.drop(self.wte(tokens)))  # (B, T, D)
        if cache is not None:
            assert isinstance(cache, DecodingCache)
            return self.output(self.recall(x, cache, cache.advance(tokens).counts))  # type: ignore[no-any-return]
        if tokens.shape[1] > self.context:
            raise ValueError(f"a sequence of {tokens.shape[1]} tokens is longer than the model's context of {self.context}")
        if segments is None:
            for block in self.blocks:
                x = self.drop(block(x)[0])  # (B, T, U)
            return self.output(x)  # type: ignore[no-any-return]  # (B, T, D)
        packing = Packing(document_lengths(segments), x.device)
        packed = packing.pack(x.flatten(0, 1))
        for block in self.blocks:
            packed = PackedSequence(self.drop(block(packed)[0].data), packing.sizes)
        return self.output(packing.unpack(packed)).view(*tokens.shape, -1)  # type: ignore[no-any-return]

    def recall(self, x: Tensor, cache: DecodingCache, counts: Sequence[int]) -> Tensor:
        """The layers, each going on from its state: (B, T, D) -> (B, T, U), zeros behind the `counts` real tokens of each row."""
        b, t, _ = x.shape
        if all(count == t for count in counts):
            rows = torch.arange(b, device=x.device)
            for block, state in zip(self.blocks, cache.layers, strict=True):
                assert isinstance(state, State)
                x, after = block(x, state.take(rows, x))
                state.put(rows, after)
            return x
        packing = Packing([count for count in counts if count], x.device)
        rows = torch.tensor([row for row, count in enumerate(counts) if count], device=x.device)[packing.order]
        real = (torch.arange(t) < torch.tensor(counts).unsqueeze(1)).flatten().nonzero().flatten().to(x.device)  # (S,)
        packed = packing.pack(x.flatten(0, 1)[real])
        for block, state in zip(self.blocks, cache.layers, strict=True):
            assert isinstance(state, State)
            packed, after = block(packed, state.take(rows, packed.data))
            state.put(rows, after)
        read = packing.unpack(packed)  # (S, U)
        return read.new_zeros(b * t, read.shape[1]).index_copy(0, real, read).view(b, t, -1)

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.settings.dropout, self.training) if self.settings.dropout else x

    def logits(self, hidden: Tensor) -> Tensor:
        return linear_head(hidden, self.wte.weight)

    def cache(self, batch: int, length: int) -> DecodingCache:
        """Raises ValueError: `length` is beyond the context."""
        if length > self.context:
            raise ValueError(f"a cache of {length} tokens is longer than the model's context of {self.context}")
        states = [State(batch, self.settings.units) for _ in self.blocks]
        return DecodingCache(states, batch, length, self.wte.weight.device)
