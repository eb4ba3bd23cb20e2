"""Advantages of tokens, and whitening. Shapes: B episodes, R tokens of the longest response; (B, R) tensors are 0 in the padding.

Source: "High-Dimensional Continuous Control Using Generalized Advantage Estimation", equation 16. Means and variances are over all
episodes of a step, on all devices, while the code of "Fine-Tuning Language Models from Human Preferences" whitens advantages within
each minibatch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gptkit.objective.rollout_objective import Total

EPSILON = 1e-8
"""Added to a variance before dividing by it."""


def response_mask(lengths: Tensor, width: int) -> Tensor:
    """Return which of `width` positions hold a token of the response: (B,) -> (B, R) bool."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]


def compute_advantages(token_rewards: Tensor, values: Tensor, *, discount: float, gae_lambda: float) -> Tensor:
    """Return generalised advantage estimates (B, R). The value after the last token is 0.

    Args:
        token_rewards: (B, R) rewards of tokens.
        values: (B, R) values of the state before each token.
        discount: gamma, the discount per token.
        gae_lambda: lambda of the estimator.
    """
    advantages = torch.zeros_like(token_rewards)
    next_advantage, next_value = torch.zeros_like(token_rewards[:, 0]), torch.zeros_like(token_rewards[:, 0])
    for t in reversed(range(token_rewards.shape[1])):
        delta = token_rewards[:, t] + discount * next_value - values[:, t]
        next_advantage = delta + discount * gae_lambda * next_advantage
        next_value = values[:, t]
        advantages[:, t] = next_advantage
    return advantages


def moments(values: Tensor, mask: Tensor, total: Total) -> tuple[Tensor, Tensor]:
    """Return mean and variance of the entries (B, R) in the mask over all devices, as two float64 scalars."""
    entries = values[mask].double()
    count, sum_of_entries = total(torch.stack([torch.full_like(entries.sum(), len(entries)), entries.sum()]))
    mean = sum_of_entries / count.clamp(min=1)
    return mean, total((entries - mean).square().sum()) / count.clamp(min=1)


def whiten(values: Tensor, mask: Tensor, total: Total, *, shift: bool = True) -> Tensor:
    """Scale values (B, R) to variance 1 over the mask, and with `shift` to mean 0. The result is 0 outside the mask."""
    mean, variance = moments(values, mask, total)
    scaled = (values - mean) * (variance + EPSILON).rsqrt()
    return (scaled if shift else scaled + mean).to(values.dtype) * mask


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor, total: Total) -> Tensor:
    """Return the fraction of the variance of the returns that the values predict, negative if they are worse than the mean."""
    _, residual_variance = moments(returns - values, mask, total)
    _, variance = moments(returns, mask, total)
    return 1 - residual_variance / variance.clamp(min=EPSILON)
