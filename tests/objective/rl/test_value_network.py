"""The value network starts from the reward model or from the policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tests.objective.rl.tiny_ppo import reward_model, roll


def test_the_value_network_starts_as_a_reward_model_of_any_width(ppo: Callable[..., Any]) -> None:
    reward = reward_model(width=8)
    objective, model = ppo(reward)
    batch = roll(objective, model, 4)[0]["ppo"]
    trained = reward.trained_model
    assert trained is not None
    lengths = batch["prompt_lengths"] + batch["lengths"] - 1  # the state before the last token
    expected = trained.objective.scores(trained.model, batch["tokens"], lengths)
    result = batch["values"].gather(1, batch["lengths"][:, None] - 1)[:, 0]
    assert torch.allclose(result, expected, atol=1e-5)
    assert not any(parameter is own for parameter in objective.value.parameters() for own in trained.model.parameters())


def test_a_value_network_from_the_policy_starts_at_zero(ppo: Callable[..., Any]) -> None:
    objective, model = ppo(reward_model(), value_from="policy")
    batch = roll(objective, model, 4)[0]["ppo"]
    assert not batch["values"].any()
    objective.loss(model, batch)[0]["value"][1].backward()
    assert objective.value.head.weight.grad.any()
    assert all(parameter.grad is None for parameter in model.parameters())
