"""Equation 1 of InstructGPT against hand-computed values and a slow version; ties; DPO as the same loss."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from gptkit.objective.preference.ranking_loss import preference_pairs, ranking_losses

SCORES = torch.tensor([[0.5, -1.0, 2.0, 0.25], [1.0, 2.0, 3.0, 0.0], [0.3, 0.1, 0.0, 0.0]])
RANKS = torch.tensor([[1, 2, 0, 1], [1, 1, 1, 1], [0, 1, 0, 0]])
EXISTS = torch.tensor([[True] * 4, [True] * 4, [True, True, False, False]])


def slowly(scores: Tensor, ranks: Tensor, exists: Tensor, margin: float) -> list[float]:
    result = []
    for row in range(len(scores)):
        losses = []
        for one, other in itertools.permutations(range(scores.shape[1]), 2):
            if exists[row, one] and exists[row, other] and ranks[row, one] < ranks[row, other]:
                losses.append(math.log1p(math.exp(-(float(scores[row, one] - scores[row, other]) - margin))))
        result.append(sum(losses) / len(losses) if losses else 0.0)
    return result


@pytest.mark.parametrize("margin", [0.0, 0.7])
def test_the_ranking_loss_is_the_mean_over_pairs_without_ties(margin: float) -> None:
    result = ranking_losses(SCORES, RANKS, EXISTS, margin)
    assert result.tolist() == pytest.approx(slowly(SCORES, RANKS, EXISTS, margin), abs=1e-6)
    assert result[1] == 0.0  # all tied
    assert preference_pairs(RANKS, EXISTS).sum((1, 2)).tolist() == [5, 0, 1]


def test_the_ranking_loss_of_an_example_with_a_tie() -> None:
    scores, ranks = torch.tensor([[1.0, 0.0, 0.5]]), torch.tensor([[0, 1, 1]])
    by_hand = (math.log(1 + math.exp(-1.0)) + math.log(1 + math.exp(-0.5))) / 2
    assert float(ranking_losses(scores, ranks, torch.ones_like(ranks, dtype=torch.bool))) == pytest.approx(by_hand, abs=1e-6)


def test_the_loss_does_not_depend_on_the_order_of_completions() -> None:
    for order in itertools.permutations(range(4)):
        index = list(order)
        torch.testing.assert_close(
            ranking_losses(SCORES[:, index], RANKS[:, index], EXISTS[:, index]), ranking_losses(SCORES, RANKS, EXISTS)
        )


def test_large_differences_and_ties_leave_finite_gradients() -> None:
    scores = torch.tensor([[200.0, -200.0], [-200.0, 200.0], [0.0, 0.0]], dtype=torch.bfloat16, requires_grad=True)
    ranks = torch.tensor([[0, 1], [0, 1], [0, 0]])
    losses = ranking_losses(scores, ranks, torch.ones_like(ranks, dtype=torch.bool))
    assert losses.dtype == torch.float32
    assert losses.tolist() == [0.0, 400.0, 0.0]
    losses.sum().backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == [[0.0, 0.0], [-1.0, 1.0], [0.0, 0.0]]
