"""GRPO: advantages of groups against a loop, and the first update."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from gptkit.objective import GRPOConfig
from gptkit.objective.rl.grpo import group_advantages, kl_estimates
from gptkit.records import Prompt, Turn
from gptkit.reward.base import Reward
from gptkit.tokenizer import BytesTokenizerConfig


class Length(Reward):
    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        return torch.tensor([float(len(text)) for text in responses])


def test_group_advantages_are_standardised_scores() -> None:
    scores = [[1.0, 2.0, 6.0], [4.0, 4.0, 4.0]]
    result = group_advantages(torch.tensor(scores, dtype=torch.float64))
    for row, group in zip(result.tolist(), scores, strict=True):
        mean = sum(group) / 3
        deviation = math.sqrt(sum((score - mean) ** 2 for score in group) / 3)
        assert row == pytest.approx([(score - mean) / (deviation + 1e-4) for score in group], abs=1e-12)


def test_kl_estimates_match_equation_4() -> None:
    now, reference = torch.tensor([-1.0, -2.0]), torch.tensor([-1.5, -0.5])
    expected = [math.exp(ahead) - ahead - 1 for ahead in (-0.5, 1.5)]
    assert kl_estimates(now, reference).tolist() == pytest.approx(expected, abs=1e-6)


def test_minibatches_contain_whole_groups_and_start_at_zero_kl(source: Any, model_of: Callable[..., Any]) -> None:
    prompts = [Prompt((Turn("user", "ab" * (1 + number % 3)),)) for number in range(12)]
    part = GRPOConfig(max_new_tokens=8, missing_end_of_text=None, group=4, minibatch=2)
    objective: Any = part.build(tokenizer=BytesTokenizerConfig().build(texts=[]), context=24, width=16)
    objective.use_reward(Length())
    objective.datasets(source(prompts), validation_fraction=0.0)
    model = model_of(objective, dropout=0.5)
    objective.start(model)
    rolled = list(objective.rollout(model, objective.prompt_datasets["train"].batch(range(6)), seed=1, total=lambda tensor: tensor))
    assert [len(minibatch["grpo"]["tokens"]) for minibatch in rolled] == [8, 8, 8]
    for minibatch in rolled:
        batch = minibatch["grpo"]
        assert torch.allclose(batch["group_advantages"].view(2, 4).mean(dim=1), torch.zeros(2), atol=1e-6)
        terms, measured = objective.loss(model, batch)
        assert float(measured["approximate_kl"].total) < 1e-10
        assert float(terms["divergence"][1].detach()) == pytest.approx(0.0, abs=1e-6)
        assert float(terms["policy"][1].detach()) == pytest.approx(-float(batch["group_advantages"].sum()), abs=1e-4)
