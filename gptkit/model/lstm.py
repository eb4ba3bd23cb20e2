"""The LSTM language model that GPT-1 compares its Transformer with. In the order of the file: LSTMState, Packing, Block, LSTM.

Shapes: B batch, T time, D width, U units, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gptkit.attention.base import AttentionCache
from gptkit.model.base import Cache, Model
from gptkit.model.decoding_cache import DecodingCache
from gptkit.model.lm_head import lm_logits

if TYPE_CHECKING:
    from gptkit.model import LSTMConfig

DEVIATION = 0.02  # GPT-1, section 4.1: weights from N(0, 0.02)
EPSILON = 1e-5  # of the norms, as in OpenAI's code


class LSTMState(AttentionCache):
    """The state of one layer: its outputs and its cells after the last token of each row, (B, U) both."""

    def __init__(self, batch: int, units: int) -> None:
        self.shape = batch, units
        self.tensors: tuple[Tensor, ...] = ()

    def read(self, rows: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The state of these rows (N,), as nn.LSTM wants it beside its input x: (1, N, U) both, zeros where nothing was read."""
        if not self.tensors:
            self.tensors = x.new_zeros(self.shape), x.new_zeros(self.shape)
        hidden, cell = (tensor[rows].to(x.dtype).unsqueeze(0) for tensor in self.tensors)
        return hidden, cell

    def write(self, rows: Tensor, state: tuple[Tensor, Tensor]) -> None:
        """Store (1, N, U) as the state of these rows; the others keep theirs."""
        self.tensors = tuple(old.index_copy(0, rows, new[0].to(old.dtype)) for old, new in zip(self.tensors, state, strict=True))

    def join(self, parts: Sequence[Self], rows: Tensor) -> None:
        self.tensors = tuple(torch.cat(tensors)[rows] for tensors in zip(*(part.tensors for part in parts), strict=True))

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

    def pack(self, x: Tensor) -> Tensor:
        """(S, D), one sequence behind the other -> (S, D), as `PackedSequence` has it."""
        return x[self.packed]

    def unpack(self, packed: Tensor) -> Tensor:
        """(S, U), in the order in which `pack` was given the tokens."""
        return packed[self.unpacked]


def document_lengths(segments: Tensor) -> list[int]:
    """Tokens of each document, row after row: (B, T) int64 ids -> N lengths. A document ends where the id changes."""
    begins = torch.ones_like(segments, dtype=torch.bool)
    begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
    starts = begins.flatten().nonzero().flatten()
    return starts.diff(append=starts.new_tensor([segments.numel()])).tolist()


def to_autocast_dtype(x: Tensor) -> Tensor:
    """Cast x to the dtype of autocast where that is on: on processors it converts the weights of an LSTM but not its input."""
    device = x.device.type
    on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return x.to(torch.get_autocast_dtype(device)) if on else x


class Block(nn.Module):
    """One layer, which reads its input normalised: embeddings of deviation 0.02 would hardly move it otherwise.

    Its tensors have time before batch, PyTorch's own order here: (T, B, D) -> (T, B, U), or packed, (S, D) -> (S, U).
    """

    def __init__(self, size: int, units: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size, eps=EPSILON)
        self.lstm = nn.LSTM(size, units)

    def forward(
        self, x: Tensor, *, sizes: Tensor | None = None, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The outputs, and the state after them. `sizes` are those of a `Packing`, where x is packed."""
        x = to_autocast_dtype(self.norm(x))
        if sizes is None:
            return self.lstm(x, state)  # type: ignore[no-any-return]
        packed, after = self.lstm(PackedSequence(x, sizes), state)
        return packed.data, after


class LSTM(Model):
    """Parameters, as checkpoints name them: `wte.weight` (V, D), `blocks.<n>.` with `norm` and `lstm`, `output` (D, U), `norm` (D).

    Positions need no parameters: the state knows them. The norm at the end gives hidden states the size that a GPT's have.
    """

    def __init__(self, settings: LSTMConfig, *, vocabulary: int) -> None:
        super().__init__()
        self.settings = settings
        self.vocabulary = vocabulary
        self.context = settings.context
        self.wte = nn.Embedding(vocabulary, settings.width)
        sizes = [settings.width] + [settings.units] * (settings.layers - 1)
        self.blocks = nn.ModuleList(Block(size, settings.units) for size in sizes)
        self.output = nn.Linear(settings.units, settings.width)
        self.norm = nn.LayerNorm(settings.width, eps=EPSILON)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the initial weights: embeddings and `output` N(0, 0.02), biases 0, as in a GPT; within a layer, PyTorch's own."""
        for module in self.modules():
            if isinstance(module, nn.LSTM | nn.LayerNorm):
                module.reset_parameters()
        nn.init.normal_(self.wte.weight, std=DEVIATION)
        nn.init.normal_(self.output.weight, std=DEVIATION)
        nn.init.zeros_(self.output.bias)

    def forward(self, tokens: Tensor, *, cache: Cache | None = None, segments: Tensor | None = None) -> Tensor:
        x = self.drop(self.wte(tokens))  # (B, T, D)
        if cache is not None:
            assert isinstance(cache, DecodingCache)
            x = self.forward_cached(x, cache, cache.advance(tokens).counts)
        elif tokens.shape[1] > self.context:
            raise ValueError(f"a sequence of {tokens.shape[1]} tokens is longer than the model's context of {self.context}")
        elif segments is None:
            x = self.forward_layers(x.transpose(0, 1), None).transpose(0, 1)
        else:
            packing = Packing(document_lengths(segments), x.device)
            read = self.forward_layers(packing.pack(x.flatten(0, 1)), packing.sizes)
            x = packing.unpack(read).view(*tokens.shape, -1)
        return self.norm(self.output(x))  # type: ignore[no-any-return]  # (B, T, D)

    def forward_layers(self, x: Tensor, sizes: Tensor | None) -> Tensor:
        """Run the layers from empty states: (T, B, D) -> (T, B, U), or packed."""
        for block in self.blocks:
            x = self.drop(block(x, sizes=sizes)[0])
        return x

    def forward_cached(self, x: Tensor, cache: DecodingCache, counts: Sequence[int]) -> Tensor:
        """Run the layers, each from its cached state: (B, T, D) -> (B, T, U), zeros behind the `counts` real tokens of each row."""
        b, t, _ = x.shape
        if all(count == t for count in counts):
            return self.advance(x.transpose(0, 1), None, torch.arange(b, device=x.device), cache).transpose(0, 1)
        packing = Packing([count for count in counts if count], x.device)
        rows = torch.tensor([row for row, count in enumerate(counts) if count], device=x.device)[packing.order]
        real = (torch.arange(t) < torch.tensor(counts).unsqueeze(1)).flatten().nonzero().flatten().to(x.device)  # (S,)
        read = packing.unpack(self.advance(packing.pack(x.flatten(0, 1)[real]), packing.sizes, rows, cache))  # (S, U)
        return read.new_zeros(b * t, read.shape[1]).index_copy(0, real, read).view(b, t, -1)

    def advance(self, x: Tensor, sizes: Tensor | None, rows: Tensor, cache: DecodingCache) -> Tensor:
        """Run the layers from the states of these rows (N,) and update them: (T, N, D) -> (T, N, U), or packed."""
        for block, state in zip(self.blocks, cache.layers, strict=True):
            assert isinstance(state, LSTMState)
            x, after = block(x, sizes=sizes, state=state.read(rows, to_autocast_dtype(x)))
            state.write(rows, after)
        return x

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.settings.dropout, self.training) if self.settings.dropout else x

    def logits(self, hidden: Tensor) -> Tensor:
        return lm_logits(hidden, self.wte.weight)

    def cache(self, batch: int, length: int) -> DecodingCache:
        """Raises ValueError: `length` is beyond the context."""
        if length > self.context:
            raise ValueError(f"a cache of {length} tokens is longer than the model's context of {self.context}")
        states = [LSTMState(batch, self.settings.units) for _ in self.blocks]
        return DecodingCache(states, batch, length, self.wte.weight.device)


def activation_bytes_per_token(settings: LSTMConfig, *, stored: int, computed: int, on_processor: bool) -> float:
    """Count the bytes per token that a forward pass keeps for the backward pass, without the logits.

    Every layer keeps its four gates, the cell before and after, the cell's tanh, and the output: 8 U values. On a processor, the
    workspace of oneDNN replaces gates and cells: 15.5 U values in float32, and 22 U in bfloat16 where the processor supports it,
    some of them in float32 nonetheless; the output is copied once more at the end. The first and the last norm keep 2 D values, the
    others U, and under mixed precision on other devices also their input in the stored format. Dropout keeps a mask of the
    embeddings and one of each layer's output.

    Args:
        settings: sizes, with U units and width D.
        stored: bytes per value of the weights, and of norms.
        computed: bytes per value in matrix products.
        on_processor: whether PyTorch's CPU kernels are used.
    """
    layers, units = settings.layers, settings.units
    mixed = stored != computed
    fused = on_processor and (computed == 4 or torch.ops.mkldnn._is_mkldnn_bf16_supported())
    workspace = 15.5 if computed == 4 else 22.0
    values = (workspace + 1) * layers + 1 if fused else 8.0 * layers
    copied = stored if mixed and not on_processor else 0
    norms = 2 * settings.width * (stored + computed) + (layers - 1) * units * (computed + copied)
    masks = (settings.width + layers * units) * (computed if on_processor else 1) if settings.dropout else 0
    return values * units * computed + norms + masks
