"""How many sequences a device takes at once, where `batch.micro` is auto: the most that fit in memory."""

from __future__ import annotations

import math
import os
from collections.abc import Callable

from gptkit.model import ModelConfig

TOKENS_PER_PASS = 16_384
"""On a processor more tokens in one pass are no faster: its caches are long full and its products long at full speed."""

SHARE_OF_MEMORY = 0.5
"""Of the memory that is free on a processor: others use it too."""


def bytes_per_sequence(model: ModelConfig, vocabulary: int) -> int:
    """An upper estimate of what one sequence keeps in memory from the forward pass to the backward pass, in bytes.

    Per token and layer, in units of the width in float32: two norms, the attention's input, q, k, v, its result, two residual sums
    and the MLP's 4 + 4 hidden units make about 18, dropout masks and gradients in flight some more: 24. Logits, and their gradient:
    2 per entry of the vocabulary and one slice of slack. A model that says itself what it keeps is given the same third more.
    """
    own = model.activation_bytes_per_token(stored=4, computed=4, on_processor=True)
    kept = 4 * 24 * model.width * model.layers if own is None else math.ceil(4 / 3 * own)
    return model.context * (kept + 4 * 3 * vocabulary)


def estimate(model: ModelConfig, *, vocabulary: int, parameters: int, free: int, share: int, sequences: int = 1) -> int:
    """Sequences per pass on a device whose memory cannot be tried out.

    Args:
        model: settings that every model has.
        vocabulary: token ids.
        parameters: of the model; gradients and two averages of the optimizer come in the first step, when this is already decided.
        free: bytes that are available.
        share: sequences of a step that fall to the device.
        sequences: of the context's length that one item has at most, times the models of that size whose gradient a pass takes.
    """
    room = SHARE_OF_MEMORY * free - 12 * parameters
    fits = int(room / (sequences * bytes_per_sequence(model, vocabulary)))
    return max(1, min(share, fits, max(1, TOKENS_PER_PASS // (model.context * sequences))))


def largest_that_fits(share: int, fits: Callable[[int], bool]) -> int:
    """The largest of share, share / 2, share / 4, ... 1 with which a trial pass succeeds; 1 is not tried."""
    micro = share
    while micro > 1 and not fits(micro):
        micro = -(-micro // 2)
    return micro


def free_memory() -> int:
    """Bytes that this machine can still give to processes."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
