"""Right padding of sequences of different lengths into one tensor.

In a causal model, a token does not depend on later tokens, so right padding does not change the other positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

Ids = Sequence[int] | NDArray[Any] | Tensor


def pad_sequences(sequences: Iterable[Ids], *, value: int = 0, dtype: torch.dtype = torch.int64) -> Tensor:
    """Pad sequences on the right to the length of the longest.

    Args:
        sequences: N sequences, at least one; each may be empty.
        value: the padding value.
        dtype: type of the result.

    Returns:
        The padded sequences, (N, T).
    """
    rows = [torch.as_tensor(sequence, dtype=dtype) for sequence in sequences]
    return pad_sequence(rows, batch_first=True, padding_value=value)


def sequence_lengths(sequences: Iterable[Ids]) -> Tensor:
    """Return the length of each sequence, (N,) int64."""
    return torch.tensor([len(sequence) for sequence in sequences], dtype=torch.int64)


def pad_groups(groups: Sequence[Sequence[Ids]], size: int) -> tuple[Tensor, Tensor]:
    """Pad groups of sequences, such as the completions of each prompt, to `size` sequences of T tokens.

    Args:
        groups: B groups of at most `size` sequences each.
        size: number of sequences C of each group in the result; missing sequences are empty.

    Returns:
        tokens: (B, C, T) int64, padded with 0.
        lengths: (B, C) int64, 0 for a missing sequence.
    """
    sequences = [sequence for group in groups for sequence in (*group, *[[]] * (size - len(group)))]
    shape = len(groups), size
    tokens = pad_sequences(sequences)
    return tokens.view(*shape, tokens.shape[1]), sequence_lengths(sequences).view(shape)
