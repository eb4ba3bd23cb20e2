"""The LSTM language model with which GPT-1 compares its Transformer: LSTMState, Packing, Block and LSTM.

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

INITIAL_STD = 0.02  # GPT-1, section 4.1: weights from N(0, 0.02)
NORM_EPSILON = 1e-5  # as in OpenAI's code


class LSTMState(AttentionCache):
    """The state of one layer: outputs and cells after the last token of each row, both (B, U)."""

    def __init__(self, batch: int, units: int) -> None:
        self.shape = batch, units
        self.tensors: tuple[Tensor, ...] = ()

    def read(self, rows: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and cells of these rows (N,) for nn.LSTM with input x, both (1, N, U); zeros before the first token."""
        if not self.tensors:
            self.tensors = x.new_zeros(self.shape), x.new_zeros(self.shape)
        hidden, cell = (tensor[rows].to(x.dtype).unsqueeze(0) for tensor in self.tensors)
        return hidden, cell

    def write(self, rows: Tensor, state: tuple[Tensor, Tensor]) -> None:
        """Store outputs and cells (1, N, U) of these rows. Other rows keep their state."""
        self.tensors = tuple(old.index_copy(0, rows, new[0].to(old.dtype)) for old, new in zip(self.tensors, state, strict=True))

    def extend(self, other: Self) -> None:
        pairs = zip(self.tensors, other.tensors, strict=True) if self.tensors else ((tensor,) for tensor in other.tensors)
        self.tensors = tuple(torch.cat(parts) for parts in pairs)
        self.shape = len(self.tensors[0]), self.shape[1]

    def select(self, rows: Tensor) -> None:
        self.shape = len(rows), self.shape[1]
        self.tensors = tuple(tensor[rows] for tensor in self.tensors)


class Packing:
    """The order in which one call of nn.LSTM reads concatenated sequences of different lengths without padding.

    PyTorch expects all first tokens, then all second tokens and so on, with the longest sequence first. Its own `pack_sequence`
    pads all sequences to the longest one internally, which is expensive for many short documents.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        """Args: lengths: number of tokens of each of N sequences, all at least 1; their sum is S."""
        length = torch.tensor(lengths)  # (N,)
        order = length.argsort(descending=True, stable=True)  # (N,)
        rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))
        sequence = torch.arange(len(order)).repeat_interleave(length)  # (S,)
        position = torch.arange(len(sequence)) - (length.cumsum(0) - length)[sequence]  # (S,)
        packed = (position * len(order) + rank[sequence]).argsort()  # (S,)
        self.sizes = position.bincount()
        """The number of sequences that have a first token, a second token and so on; on the CPU, as PyTorch requires."""
        self.order = order.to(device)
        """The sequences by descending length."""
        self.packed = packed.to(device)
        self.unpacked = packed.argsort().to(device)

    def pack(self, x: Tensor) -> Tensor:
        """Convert concatenated sequences to the order of `PackedSequence`: (S, D) -> (S, D)."""
        return x[self.packed]

    def unpack(self, packed: Tensor) -> Tensor:
        """Invert `pack`: (S, U) -> (S, U)."""
        return packed[self.unpacked]


def document_lengths(segments: Tensor) -> list[int]:
    """Return the number of tokens of each document, row by row. A document ends where the id in `segments` (B, T) changes."""
    is_start = torch.ones_like(segments, dtype=torch.bool)
    is_start[:, 1:] = segments[:, 1:] != segments[:, :-1]
    starts = is_start.flatten().nonzero().flatten()
    return starts.diff(append=starts.new_tensor([segments.numel()])).tolist()


def to_autocast_dtype(x: Tensor) -> Tensor:
    """Cast x to the autocast dtype if autocast is enabled: on CPUs, it casts the weights of an LSTM, but not its input."""
    device = x.device.type
    is_enabled = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return x.to(torch.get_autocast_dtype(device)) if is_enabled else x


class Block(nn.Module):
    """A layer with a norm at its input, since embeddings with a standard deviation of 0.02 would hardly affect it otherwise.

    Its tensors have time before batch, the default of PyTorch's LSTM: (T, B, D) -> (T, B, U), or packed, (S, D) -> (S, U).
    """

    def __init__(self, size: int, units: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size, eps=NORM_EPSILON)
        self.lstm = nn.LSTM(size, units)

    def forward(
        self, x: Tensor, *, sizes: Tensor | None = None, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the outputs and the final state. If x is packed, `sizes` are the sizes of its `Packing`."""
        x = to_autocast_dtype(self.norm(x))
        if sizes is None:
            return self.lstm(x, state)  # type: ignore[no-any-return]
        packed, after = self.lstm(PackedSequence(x, sizes), state)
        return packed.data, after


class LSTM(Model):
    """The model. Its parameters in checkpoints are `wte.weight` (V, D), `blocks.<n>.` with `norm` and `lstm`, `output` (D, U),
    `norm` (D).

    It has no position embeddings. The final norm gives hidden states the scale of those of a GPT.
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
        self.norm = nn.LayerNorm(settings.width, eps=NORM_EPSILON)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise the weights: embeddings and `output` N(0, 0.02), biases 0, as in a GPT; layers by PyTorch's defaults."""
        for module in self.modules():
            if isinstance(module, nn.LSTM | nn.LayerNorm):
                module.reset_parameters()
        nn.init.normal_(self.wte.weight, std=INITIAL_STD)
        nn.init.normal_(self.output.weight, std=INITIAL_STD)
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
            outputs = self.forward_layers(packing.pack(x.flatten(0, 1)), packing.sizes)
            x = packing.unpack(outputs).view(*tokens.shape, -1)
        return self.norm(self.output(x))  # type: ignore[no-any-return]  # (B, T, D)

    def forward_layers(self, x: Tensor, sizes: Tensor | None) -> Tensor:
        """Run the layers from empty states: (T, B, D) -> (T, B, U), or packed."""
        for block in self.blocks:
            x = self.drop(block(x, sizes=sizes)[0])
        return x

    def forward_cached(self, x: Tensor, cache: DecodingCache, counts: Sequence[int]) -> Tensor:
        """Run the layers from their cached states: (B, T, D) -> (B, T, U), zeros after the first `counts` tokens of each row."""
        b, t, _ = x.shape
        if all(count == t for count in counts):
            return self.advance(x.transpose(0, 1), None, torch.arange(b, device=x.device), cache).transpose(0, 1)
        packing = Packing([count for count in counts if count], x.device)
        rows = torch.tensor([row for row, count in enumerate(counts) if count], device=x.device)[packing.order]
        token_index = (torch.arange(t) < torch.tensor(counts).unsqueeze(1)).flatten().nonzero().flatten().to(x.device)  # (S,)
        outputs = packing.unpack(self.advance(packing.pack(x.flatten(0, 1)[token_index]), packing.sizes, rows, cache))  # (S, U)
        return outputs.new_zeros(b * t, outputs.shape[1]).index_copy(0, token_index, outputs).view(b, t, -1)

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
        """Create an empty cache.

        Raises:
            ValueError: `length` is beyond the context.
        """
        if length > self.context:
            raise ValueError(f"a cache of {length} tokens is longer than the model's context of {self.context}")
        states = [LSTMState(batch, self.settings.units) for _ in self.blocks]
        return DecodingCache(states, batch, length, self.wte.weight.device)


def activation_bytes_per_token(settings: LSTMConfig, *, stored: int, computed: int, on_processor: bool) -> float:
    """Return the bytes per token that a forward pass stores for the backward pass, without logits.

    Every layer stores its four gates, the cell before and after, the tanh of the cell, and the output: 8 U values. On a CPU, the
    workspace of oneDNN replaces gates and cells: 15.5 U values in float32, and 22 U in bfloat16 if the CPU supports it, some of
    them in float32; the final output is copied once more. The first and the last norm store 2 D values, the others U, and under
    mixed precision on other devices also their input in the stored format. Dropout stores a mask of the embeddings and of the
    output of each layer.

    Args:
        settings: the sizes, with U units and width D.
        stored: bytes per value of the weights, and of norms.
        computed: bytes per value in matrix products.
        on_processor: whether PyTorch's CPU kernels are used.
    """
    layers, units = settings.layers, settings.units
    mixed = stored != computed
    uses_onednn = on_processor and (computed == 4 or torch.ops.mkldnn._is_mkldnn_bf16_supported())
    workspace = 15.5 if computed == 4 else 22.0
    values = (workspace + 1) * layers + 1 if uses_onednn else 8.0 * layers
    copied = stored if mixed and not on_processor else 0
    norms = 2 * settings.width * (stored + computed) + (layers - 1) * units * (computed + copied)
    masks = (settings.width + layers * units) * (computed if on_processor else 1) if settings.dropout else 0
    return values * units * computed + norms + masks
