from __future__ import annotations

import torch

from gptkit.attention.masks import banded_mask, causal_mask, same_document_mask


def test_causal_and_banded_masks_match_a_loop_for_rows_at_different_positions() -> None:
    queries = torch.tensor([[0, 1, 2], [5, 6, 7], [3, 3, 4]])
    keys = torch.arange(9)
    for window in (1, 2, 4, 100):
        for row in range(3):
            for t in range(3):
                for s in range(9):
                    distance = int(queries[row, t]) - s
                    assert bool(causal_mask(queries, keys)[row, t, s]) == (distance >= 0)
                    assert bool(banded_mask(queries, keys, window)[row, t, s]) == (0 <= distance < window)


def test_tokens_attend_only_within_their_document() -> None:
    segments = torch.tensor([[0, 0, 1, 1, 0], [7, 7, 7, 7, 7]])
    mask = same_document_mask(segments)
    for row in range(2):
        for t in range(5):
            for s in range(5):
                assert bool(mask[row, t, s]) == (segments[row, t] == segments[row, s])
