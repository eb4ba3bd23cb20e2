"""Rollouts of PPO: determinism, division into minibatches, and scores of responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from gptkit.errors import GptkitError
from gptkit.records import Prompt
from gptkit.reward.base import Reward
from tests.objective.rl.tiny_ppo import roll


def test_before_the_first_update_kl_and_clipping_are_zero(ppo: Callable[..., Any]) -> None:
    """This includes models with dropout, which is never on."""
    objective, model = ppo(dropout=0.5, minibatch=8)
    model.train()
    first = roll(objective, model)[0]["ppo"]
    terms, measured = objective.loss(model, first)
    assert float(measured["approximate_kl"].total) < 1e-10
    assert float(measured["clip_fraction"].total) == 0.0
    assert float(measured["kl"]) == 0.0
    assert float(terms["policy"][1].detach()) == pytest.approx(-float(first["advantages"].sum()), abs=1e-4)
    assert model.training


def test_a_rollout_depends_only_on_weights_items_and_seed(ppo: Callable[..., Any]) -> None:
    objective, model = ppo()
    one, same, other = roll(objective, model), roll(objective, model), roll(objective, model, seed=6)
    assert torch.equal(one[0]["ppo"]["tokens"], same[0]["ppo"]["tokens"])
    assert not torch.equal(one[0]["ppo"]["tokens"], other[0]["ppo"]["tokens"])
    few = roll(objective, model, 4, first=8)[0]["ppo"]
    for row in range(4):
        length = int(few["prompt_lengths"][row] + few["lengths"][row])
        assert torch.equal(few["tokens"][row, :length], one[0]["ppo"]["tokens"][8 + row, :length])


def test_minibatches_are_strided_and_repeat_for_every_inner_epoch(ppo: Callable[..., Any]) -> None:
    objective, model = ppo(minibatch=4, inner_epochs=2)
    whole = roll(*ppo())[0]["ppo"]
    parts = roll(objective, model)
    assert len(parts) == 8
    width = whole["tokens"].shape[1]
    for number, part in enumerate(parts):
        assert torch.equal(part["ppo"]["tokens"], whole["tokens"][number % 4 :: 4, :width])


def test_a_response_that_does_not_end_gets_missing_end_of_text_without_the_reward(ppo: Callable[..., Any]) -> None:
    class Refuses(Reward):
        def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
            raise AssertionError

    objective, model = ppo(Refuses(), missing_end_of_text=-7.0, sanity_checks=False, max_new_tokens=1)
    objective.chat_template.end = 10_000  # never sampled
    batch = roll(objective, model)[0]["ppo"]
    assert set(batch["score"].tolist()) == {-7.0}
    assert set(batch["missing_end_of_text"].tolist()) == {1.0}


def test_kl_coef_adapts_and_is_saved(ppo: Callable[..., Any]) -> None:
    objective, model = ppo(kl_target=5.0, kl_horizon=100, kl_coef=0.1)
    roll(objective, model)
    assert float(objective.kl_coef) == pytest.approx(0.1 * (1 - 0.2 * 16 / 100))
    other, _ = ppo(kl_target=5.0, kl_coef=0.1)
    other.restore(model, objective.state_dict())
    assert float(other.kl_coef) == float(objective.kl_coef)


def test_log_probabilities_depend_on_neither_padding_nor_other_rows(ppo: Callable[..., Any]) -> None:
    objective, model = ppo()
    batch = roll(objective, model)[0]["ppo"]
    for row in range(16):
        one = {name: tensor[row : row + 1] for name, tensor in batch.items()}
        length = int(one["prompt_lengths"] + one["lengths"])
        result = objective.compute_log_probs(model, {**one, "tokens": one["tokens"][:, :length]})
        assert torch.allclose(result[0], batch["old_log_probs"][row, : int(one["lengths"])], atol=1e-5)


def test_a_nan_score_raises(ppo: Callable[..., Any]) -> None:
    class Broken(Reward):
        def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
            return torch.tensor([float("nan") if row == 2 else 0.0 for row in range(len(responses))])

    with pytest.raises(GptkitError, match="not a finite number"):
        roll(*ppo(Broken()))


def test_responses_use_at_most_half_of_the_context(ppo: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    objective, model = ppo(max_new_tokens=1000)
    assert "responses have at most 12 tokens" in caplog.text
    assert int(roll(objective, model)[0]["ppo"]["lengths"].max()) <= 12
