"""A tiny policy for tests of PPO: its prompts, rewards, rollouts and gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gptkit.attention import DenseAttentionConfig
from gptkit.model import GPTConfig
from gptkit.objective import RewardModelConfig
from gptkit.objective.base import TrainedModel
from gptkit.records import Prompt, Turn
from gptkit.reward.base import Reward
from gptkit.tokenizer import BytesTokenizerConfig
from gptkit.training.step import combine_terms, split_into_micro_batches

CONTEXT = 24
MAX_NEW_TOKENS = 8
PROMPTS = [Prompt((Turn("user", "ab" * (1 + number % 3)),)) for number in range(40)]


class Vowels(Reward):
    """Scores a response by its number of vowels."""

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        return torch.tensor([float(sum(letter in "aeiou" for letter in text)) for text in responses])


def alone(tensor: Tensor) -> Tensor:
    return tensor


def roll(objective: Any, model: Any, count: int = 16, *, first: int = 0, seed: int = 5, total: Any = alone) -> list[Any]:
    batch = objective.prompt_datasets["train"].batch(range(first, first + count))
    return list(objective.rollout(model, batch, seed=seed, total=total))


def gradient(objective: Any, model: Any, minibatch: Any, *, micro: int = 100, counts: Any = None) -> dict[str, Tensor]:
    """Return the gradient of one update, accumulated over its batches as in a training step."""
    for module in (model, objective):
        module.zero_grad()
    if counts is None:
        counts = Counter[str]()
        for batch in minibatch.values():
            counts.update(objective.counts(batch))
    for batch in minibatch.values():
        for piece in split_into_micro_batches(batch, micro):
            combine_terms(objective.loss(model, piece)[0], counts).backward()
    named = [*model.named_parameters(), *objective.value.named_parameters(prefix="value")]
    return {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}


def nearly(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.allclose(left[name], right[name], atol=1e-6, rtol=0) for name in left)


def reward_model(context: int = CONTEXT, *, tokenizer: Any = None, width: int = 8) -> Reward:
    """Return a reward that counts vowels and has a reward model from which the value network can start."""
    tokenizer = tokenizer or BytesTokenizerConfig().build(texts=[])
    objective = RewardModelConfig().build(tokenizer=tokenizer, context=context, width=width)
    objective.bias.fill_(0.5)
    model = GPTConfig(layers=1, heads=1, width=width, context=context).build(
        attention=DenseAttentionConfig(), vocabulary=tokenizer.size
    )

    class Scores(Vowels):
        trained_model = TrainedModel(model.eval(), tokenizer, objective.eval(), {}, source="runs/rm")

    return Scores()
