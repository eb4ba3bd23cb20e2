"""Right padding keeps every sequence and fills the rest."""

from typing import Any

import numpy as np
import torch

from gptkit.data.padding import pad_groups, pad_sequences, sequence_lengths


def test_sequences_are_padded_on_the_right_to_the_longest() -> None:
    sequences: list[Any] = [[5, 6, 7], np.array([8], dtype=np.int32), torch.tensor([], dtype=torch.int64)]
    tokens = pad_sequences(sequences)
    assert tokens.tolist() == [[5, 6, 7], [8, 0, 0], [0, 0, 0]]
    assert tokens.dtype == torch.int64
    assert sequence_lengths(sequences).tolist() == [3, 1, 0]


def test_padding_uses_the_given_value_and_dtype() -> None:
    assert pad_sequences([[1], [2, 3]], value=-1).tolist() == [[1, -1], [2, 3]]
    assert pad_sequences([np.array([True]), np.array([True, True])], dtype=torch.bool).tolist() == [[True, False], [True, True]]


def test_missing_sequences_of_a_group_are_empty() -> None:
    tokens, lengths = pad_groups([[[1, 2, 3], [4]], [[5, 6]]], 2)
    assert tokens.tolist() == [[[1, 2, 3], [4, 0, 0]], [[5, 6, 0], [0, 0, 0]]]
    assert lengths.tolist() == [[3, 1], [2, 0]]
