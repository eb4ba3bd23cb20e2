"""The losses of proximal policy optimisation per token. Shapes: N tokens of responses, without padding.

Source: "Proximal Policy Optimization Algorithms", equation 7; the value loss is clipped as in the code of "Fine-Tuning Language
Models from Human Preferences".
"""

from __future__ import annotations

import torch
from torch import Tensor

MAX_LOG_RATIO = 20.0
"""The magnitude to which log-ratios are clamped. e^20 is far outside every clip range, and larger ratios could overflow."""


def probability_ratios(log_probs: Tensor, old: Tensor) -> Tensor:
    """Return the ratio (N,) of the probability of each token under the policy to its probability before the update."""
    return (log_probs - old).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()


def policy_losses(ratio: Tensor, advantages: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """Return losses (N,), and whether each loss is clipped, so that its gradient is zero, (N,) bool."""
    unclipped, clipped = -advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip)
    return torch.maximum(unclipped, clipped), clipped > unclipped


def value_losses(values: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Return half the squared error (N,) of the value, or of the value clipped to `old` +- `clip` if that error is larger."""
    clipped = old + (values - old).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns).square(), (clipped - returns).square())


def approximate_kl(log_probs: Tensor, old: Tensor) -> Tensor:
    """Return half the squared log-ratio (N,). Its mean is the KL divergence of an update to second order."""
    return 0.5 * (log_probs - old).square()


def entropies(log_probs: Tensor) -> Tensor:
    """Return the entropies (N,) in nats of distributions given as log-probabilities (N, V)."""
    return -(log_probs.exp() * log_probs).sum(dim=-1)
