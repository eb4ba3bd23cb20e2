"""The arithmetic of one optimizer step, apart from any trainer: seeds, micro-batches, the loss from its sums, clipping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from gptkit.data.dataset import Batch
from gptkit.objective.base import Terms
from gptkit.optimizer.groups import is_distributed

MASK = (1 << 64) - 1


def mix_seeds(*numbers: int) -> int:
    """One 63-bit seed from several integers, so that streams which differ in any of them are unrelated.

    The finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014, figure 17), chained.
    """
    state = 0
    for number in numbers:
        state = (state + (number & MASK) + 0x9E3779B97F4A7C15) & MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
        state ^= state >> 31
    return state >> 1


def seed_device(device: torch.device, seed: int) -> None:
    """Seed what draws dropout on this device: torch.manual_seed without visiting every other kind of device."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type != "cpu":
        torch.manual_seed(seed)


def split_into_micro_batches(batch: Batch, micro: int) -> Iterator[Batch]:
    """The batch in pieces of at most `micro` sequences, in order; the last may be smaller."""
    size = len(batch["tokens"])
    if size <= micro:
        yield batch
        return
    for start in range(0, size, micro):
        yield {name: tensor[start : start + micro] for name, tensor in batch.items()}


def combine_terms(terms: Terms, counts: Mapping[str, float]) -> Tensor:
    """The part of the step's loss that these sums are: over terms, weight * sum / count.

    Args:
        terms: weights and sums over some of the step's sequences.
        counts: how many things each term averages over, in the whole step and on all devices.
    """
    loss: Tensor | None = None
    for name, (weight, total) in terms.items():
        share = total * (weight / max(counts[name], 1))
        loss = share if loss is None else loss + share
    if loss is None:
        raise ValueError("the objective gave no term")
    return loss


def global_gradient_norm(gradients: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients together, a scalar; parts of one tensor count as that tensor."""
    if not any(is_distributed(gradient) for gradient in gradients):
        return torch.nn.utils.get_total_norm(gradients)
    norms = [torch.nn.utils.get_total_norm([gradient]) for gradient in gradients]
    return torch.nn.utils.get_total_norm([norm.full_tensor() if is_distributed(norm) else norm for norm in norms])


def scale_gradients(gradients: Sequence[Tensor], norm: Tensor, largest: float) -> None:
    """Shrink the gradients in place so that their global norm is at most `largest`, as torch.nn.utils.clip_grad_norm_ does."""
    factor = (largest / (norm + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_([gradient.to_local() if is_distributed(gradient) else gradient for gradient in gradients], factor)
