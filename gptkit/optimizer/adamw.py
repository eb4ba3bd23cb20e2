"""AdamW with the fused kernel, which makes one pass over memory per update."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.nn import Parameter

from gptkit.optimizer import AdamWConfig
from gptkit.optimizer.groups import decay_groups


def build_adamw(settings: AdamWConfig, parameters: Iterable[tuple[str, Parameter]]) -> torch.optim.AdamW:
    """Build algorithm 2 of "Decoupled Weight Decay Regularization" with two groups, with and without weight decay.

    Args:
        settings: the config.
        parameters: names and tensors of the trained parameters, on their final device.
    """
    groups = decay_groups(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
    beta1, beta2 = settings.betas
    return torch.optim.AdamW(groups, lr=settings.lr, betas=(beta1, beta2), eps=settings.eps, fused=_can_fuse(groups))


def _can_fuse(groups: list[dict[str, list[Parameter]]]) -> bool:
    """Return whether the fused kernel supports the parameters: floating-point tensors on the CPU and on CUDA."""
    return all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for group in groups for p in group["params"])
