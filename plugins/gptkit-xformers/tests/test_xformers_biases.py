"""The bias objects, materialized as matrices, equal gptkit's own masks."""

from typing import Any

import pytest
import torch
from gptkit_xformers import biases

from gptkit.attention.masks import banded_mask, causal_mask, same_document_mask


def visible(bias: Any, t: int) -> torch.Tensor:
    """Return the (T, T) entries that a bias does not mask."""
    matrix = bias.materialize((1, 1, t, t))[0, 0] if not hasattr(bias, "q_seqinfo") else bias.materialize((t, t))
    assert set(matrix.unique().tolist()) <= {0.0, float("-inf")}
    return matrix == 0


@pytest.mark.parametrize("t", [1, 2, 7, 32])
@pytest.mark.parametrize("window", [None, 1, 2, 5, 40])
def test_the_bias_of_unpacked_rows_equals_the_mask(t: int, window: int | None) -> None:
    positions = torch.arange(t)
    expected = causal_mask(positions, positions) if window is None else banded_mask(positions, positions, window)
    assert torch.equal(visible(biases.whole(window), t), expected)


SEGMENTS = [
    [[0, 0, 0, 1, 1, 2], [0, 0, 0, 0, 0, 0]],
    [[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 1, 1]],
    [[0, 0, 0, 0, 0, 1], [1, 1, 1, 2, 2, 2]],  # the last document of a row and the first of the next share an id
]


@pytest.mark.parametrize("ids", SEGMENTS)
@pytest.mark.parametrize("window", [None, 1, 2, 3])
def test_the_bias_of_packed_rows_equals_the_mask(ids: list[list[int]], window: int | None) -> None:
    segments = torch.tensor(ids)
    b, t = segments.shape
    positions = torch.arange(t)
    order = causal_mask(positions, positions) if window is None else banded_mask(positions, positions, window)
    expected = torch.block_diag(*(order & same_document_mask(segments)))  # rows never attend to each other
    assert torch.equal(visible(biases.packed(segments, window), b * t), expected.bool())


def test_lengths_of_documents_are_counted_per_row() -> None:
    assert biases.lengths(torch.tensor(SEGMENTS[0])) == [3, 2, 1, 6]
    assert biases.lengths(torch.tensor(SEGMENTS[2])) == [5, 1, 3, 3]


def test_layers_share_the_bias_of_a_batch() -> None:
    segments = torch.tensor(SEGMENTS[0])
    first = biases.packed(segments, 2)
    assert biases.packed(segments, 2) is first
    assert biases.packed(segments, 3) is not first
    other = torch.tensor(SEGMENTS[1])
    assert biases.packed(other, 2) is not first
