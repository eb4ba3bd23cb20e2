"""Rewards and advantages of tokens. Shapes: B episodes, R tokens of the longest response; (B, R) tensors are 0 in the padding.

Source: "Fine-Tuning Language Models from Human Preferences", section 2 and its code; "High-Dimensional Continuous Control Using
Generalized Advantage Estimation", equation 16. Means and variances are over all episodes of a step, on all devices, while
the code of the former paper whitens advantages within each minibatch.
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


def token_rewards(scores: Tensor, log_ratios: Tensor, lengths: Tensor, kl_coef: float) -> Tensor:
    """Return the reward of every token (B, R): the negative KL penalty, plus the score at the last token of a response.

    Args:
        scores: (B,) scores of the responses.
        log_ratios: (B, R) log-probability under the policy minus log-probability under the reference: an unbiased estimate of
            their KL divergence, which may be negative.
        lengths: (B,) number of tokens of the responses, including end-of-text; at least 1.
        kl_coef: weight of the penalty.
    """
    penalties = -kl_coef * log_ratios
    return penalties.scatter_add(1, lengths[:, None] - 1, scores.to(penalties)[:, None])


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


def adapt_kl_coef(kl_coef: float, kl: float, *, target: float, episodes: int, horizon: int) -> float:
    """Return the KL coefficient of the next step: larger if the divergence exceeded its target, smaller if it was below.

    Args:
        kl_coef: the coefficient of this step.
        kl: mean divergence of the episodes of this step, in nats per response.
        target: the desired divergence.
        episodes: number of episodes of this step.
        horizon: number of episodes over which the coefficient changes by at most about a fifth.
    """
    error = min(max(kl / target - 1.0, -0.2), 0.2)
    return kl_coef * (1.0 + error * episodes / horizon)
