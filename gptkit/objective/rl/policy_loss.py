"""The losses of proximal policy optimisation, token by token. Shapes: N tokens of responses; nothing here knows of padding.

Source: "Proximal Policy Optimization Algorithms", equation 7; the value's loss is clipped as in the code of "Fine-Tuning Language
Models from Human Preferences".
"""

from __future__ import annotations

import torch
from torch import Tensor

MAX_LOG_RATIO = 20.0
"""Log-ratios beyond it are cut: e^20 is far outside every clip, and larger ones overflow."""


def probability_ratios(log_probs: Tensor, old: Tensor) -> Tensor:
    """(N,) probability of each token now, over that before the update."""
    return (log_probs - old).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()


def policy_losses(ratio: Tensor, advantages: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """(N,) losses, and (N,) bool where the clip decides: there the gradient is zero."""
    free, clipped = -advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip)
    return torch.maximum(free, clipped), clipped > free


def value_losses(values: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """(N,) half the squared error, or that of the value moved by at most `clip` where it is larger."""
    near = old + (values - old).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns).square(), (near - returns).square())


def approximate_kl(log_probs: Tensor, old: Tensor) -> Tensor:
    """(N,) half the squared log-ratio: its mean is the divergence between the policy before the update and now, to second order."""
    return 0.5 * (log_probs - old).square()


def entropies(log_probs: Tensor) -> Tensor:
    """(N, V) log-probabilities of all tokens -> (N,) entropy in nats."""
    return -(log_probs.exp() * log_probs).sum(dim=-1)
