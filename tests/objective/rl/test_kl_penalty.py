"""The KL penalty in the rewards of tokens, and its adaptive coefficient."""

from __future__ import annotations

import pytest
import torch

from gptkit.objective.rl.advantages import response_mask
from gptkit.objective.rl.kl_penalty import adapt_kl_coef, token_rewards


def test_the_score_is_added_to_the_last_token_of_every_response() -> None:
    """A response that ends early, one of a single token, and one of the maximum length."""
    lengths = torch.tensor([5, 1, 3, 5])
    ratios = torch.randn(4, 5, dtype=torch.float64) * response_mask(lengths, 5)
    scores = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64)
    result = token_rewards(scores, ratios, lengths, 0.1)
    for row, length in enumerate(lengths.tolist()):
        expected = [-0.1 * ratio for ratio in ratios[row].tolist()]
        expected[length - 1] += float(scores[row])
        assert result[row].tolist() == pytest.approx(expected, abs=1e-12)
        assert not result[row, length:].any()


def test_kl_coef_adapts_to_its_target_by_at_most_a_fifth() -> None:
    assert adapt_kl_coef(0.1, 6.0, target=6.0, episodes=512, horizon=10_000) == 0.1
    assert adapt_kl_coef(0.1, 6.6, target=6.0, episodes=1000, horizon=10_000) == pytest.approx(0.1 * (1 + 0.1 * 0.1))
    assert adapt_kl_coef(0.1, 60.0, target=6.0, episodes=1000, horizon=10_000) == pytest.approx(0.1 * (1 + 0.2 * 0.1))
    assert adapt_kl_coef(0.1, -5.0, target=6.0, episodes=1000, horizon=10_000) == pytest.approx(0.1 * (1 - 0.2 * 0.1))
