"""From scores to advantages. Shapes: B episodes, R tokens of the longest response; (B, R) tensors are 0 behind each response.

Source: "Fine-Tuning Language Models from Human Preferences", section 2 and its code; "High-Dimensional Continuous Control Using
Generalized Advantage Estimation", equation 16. What is averaged is averaged over all episodes of a step, on all devices; the
former's code whitens advantages within each minibatch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gptkit.objective.rollout_objective import Total

EPSILON = 1e-8
"""Added to a variance before its root is divided by."""


def response_mask(lengths: Tensor, width: int) -> Tensor:
    """(B,) -> (B, R) bool: which of `width` places hold a token of the response."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]


def token_rewards(scores: Tensor, log_ratios: Tensor, lengths: Tensor, kl_coef: float) -> Tensor:
    """The reward of every token: what the divergence costs there, and on the response's last token its score.

    Args:
        scores: (B,).
        log_ratios: (B, R) log-probability under the policy less that under the reference: an estimate of their divergence that
            has no bias and may be negative.
        lengths: (B,) tokens of the responses, end-of-text included; at least 1.
        kl_coef: weight of the divergence.
    """
    given = -kl_coef * log_ratios
    return given.scatter_add(1, lengths[:, None] - 1, scores.to(given)[:, None])


def compute_advantages(token_rewards: Tensor, values: Tensor, *, discount: float, gae_lambda: float) -> Tensor:
    """Generalised advantage estimates (B, R), backwards from the last token, behind which the value is 0.

    Args:
        rewards: (B, R).
        values: (B, R) of the state in which each token is chosen.
        discount: gamma.
        gae_lambda: lambda.
    """
    found = torch.zeros_like(token_rewards)
    ahead, value_ahead = torch.zeros_like(token_rewards[:, 0]), torch.zeros_like(token_rewards[:, 0])
    for place in reversed(range(token_rewards.shape[1])):
        surprise = token_rewards[:, place] + discount * value_ahead - values[:, place]
        ahead = surprise + discount * gae_lambda * ahead
        value_ahead = values[:, place]
        found[:, place] = ahead
    return found


def moments(values: Tensor, mask: Tensor, total: Total) -> tuple[Tensor, Tensor]:
    """Mean and variance, two float64 scalars, of the entries (B, R) that the mask keeps, over all devices."""
    kept = values[mask].double()
    count, whole = total(torch.stack([torch.full_like(kept.sum(), len(kept)), kept.sum()]))
    mean = whole / count.clamp(min=1)
    return mean, total((kept - mean).square().sum()) / count.clamp(min=1)


def whiten(values: Tensor, mask: Tensor, total: Total, *, shift: bool = True) -> Tensor:
    """(B, R) with variance 1 over the mask, and mean 0 unless `shift` is false: then the mean stays. 0 outside the mask."""
    mean, variance = moments(values, mask, total)
    scaled = (values - mean) * (variance + EPSILON).rsqrt()
    return (scaled if shift else scaled + mean).to(values.dtype) * mask


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor, total: Total) -> Tensor:
    """How much of the returns' variance the values foresaw, a scalar: 1 all, 0 none, negative worse than their mean."""
    _, missed = moments(returns - values, mask, total)
    _, variance = moments(returns, mask, total)
    return 1 - missed / variance.clamp(min=EPSILON)


def adapt_kl_coef(kl_coef: float, kl: float, *, target: float, episodes: int, horizon: int) -> float:
    """The next weight of the divergence: larger where it was above its target, smaller where it was below.

    Args:
        kl_coef: the weight until now.
        kl: mean divergence of the step's episodes, in nats per response.
        target: what it should be.
        episodes: of the step.
        horizon: episodes in which the weight can grow by a fifth or so.
    """
    error = min(max(kl / target - 1.0, -0.2), 0.2)
    return kl_coef * (1.0 + error * episodes / horizon)
