"""The KL penalty: its share in the rewards of tokens, and its adaptive coefficient.

Shapes: B episodes, R tokens of the longest response; (B, R) tensors are 0 in the padding.
Source: "Fine-Tuning Language Models from Human Preferences", section 2 and its code.
"""

from __future__ import annotations

from torch import Tensor


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
