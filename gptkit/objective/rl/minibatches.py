"""The division of a reinforcement learning step into minibatches, one per optimizer update."""

from __future__ import annotations

import torch

from gptkit.errors import ConfigError
from gptkit.objective.rollout_objective import Total


def step_item_count(items: int, total: Total, device: torch.device) -> int:
    """Return the number of items of a step over all devices, given the number of items of this device."""
    return int(total(torch.tensor(float(items), device=device)))


def minibatch_count(items: int, step_items: int, minibatch: int | None) -> int:
    """Return the number of minibatches of a step. Item i of a device belongs to minibatch i modulo that number.

    Args:
        items: number of items of this device.
        step_items: number of items of the step over all devices.
        minibatch: number of items of a minibatch over all devices; None: all.

    Raises:
        ConfigError: the minibatches would differ in size between devices.
    """
    size = min(minibatch or step_items, step_items)
    if step_items % size or items % (step_items // size):
        raise ConfigError(
            f"objective.minibatch={size} does not divide batch.size={step_items} into minibatches that the devices can share "
            "equally; choose a divisor that is a multiple of the number of devices"
        )
    return step_items // size
