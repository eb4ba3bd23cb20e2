"""Demonstrations in rows: every one once, none too long, and none sees another."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from gptkit.data.packing import best_fit


@pytest.mark.parametrize("seed", range(5))
def test_every_sequence_stands_in_one_row_that_is_not_too_long(seed: int) -> None:
    draw = random.Random(seed)
    lengths = [draw.randint(1, 50) for _ in range(200)]
    rows = best_fit(lengths, 50)
    assert sorted(place for row in rows for place in row) == list(range(200))
    assert max(sum(lengths[place] for place in row) for row in rows) <= 50
    assert len(rows) <= 11 / 9 * -(-sum(lengths) // 50) + 1
    assert rows == best_fit(lengths, 50)


def test_the_longest_comes_first_and_fits_where_least_is_left() -> None:
    assert best_fit([3, 9, 5, 1, 7, 2], 10) == [[1, 3], [4, 0], [2, 5]]
    with pytest.raises(ValueError, match="sequence 1 has length 11"):
        best_fit([3, 11], 10)


def test_a_responses_loss_does_not_move_with_its_neighbours(
    source: Any, sft: Callable[..., Any], dialogue: Callable[..., Any], model_of: Callable[..., Any]
) -> None:
    def losses(*neighbours: tuple[str, str]) -> torch.Tensor:
        built = sft(context=40)
        train = built.datasets(
            source([dialogue("Name?", " Ann")] + [dialogue(*text) for text in neighbours]), validation_fraction=0
        )
        batch = train["train"].batch([0])
        assert batch["tokens"].shape[0] == len(train["train"]) == 1
        mine = batch["segments"] == len(neighbours) if neighbours else batch["learned"]
        learned = batch["learned"] & mine
        model = model_of(built)
        logits = model.logits(model(batch["tokens"], segments=batch["segments"]))
        return torch.nn.functional.cross_entropy(logits[learned], batch["targets"][learned], reduction="none")

    one, other = losses(("Where?", " In a city")), losses(("Which?", " The other"))
    assert one.shape == (len(" Ann") + 1,)
    torch.testing.assert_close(one, other, rtol=0, atol=0)
