"""The arithmetic of a step: accumulation, clipping and seeds, in isolation and in a run."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gptkit.attention import DenseAttentionConfig
from gptkit.errors import GptkitError
from gptkit.model import GPTConfig
from gptkit.objective import LMConfig
from gptkit.objective.lm.next_token_prediction import LM
from gptkit.training.gradient_clipping import global_gradient_norm, scale_gradients
from gptkit.training.step import combine_terms, mix_seeds, split_into_micro_batches


def model_and_batch() -> tuple[Any, dict[str, Tensor]]:
    torch.manual_seed(5)
    model = GPTConfig(layers=2, heads=2, width=16, context=8).build(attention=DenseAttentionConfig(), vocabulary=23)
    tokens = torch.randint(0, 23, (7, 9), generator=torch.Generator().manual_seed(1))
    return model, {"tokens": tokens[:, :-1], "targets": tokens[:, 1:]}


def gradients(model: nn.Module, batch: dict[str, Tensor], micro: int) -> list[Tensor]:
    model.zero_grad()
    objective = LM(LMConfig(), tokenizer=None, context=8)  # type: ignore[arg-type]
    counts = objective.counts(batch)
    for piece in split_into_micro_batches(batch, micro):
        terms, _ = objective.loss(model, piece)  # type: ignore[arg-type]
        combine_terms(terms, counts).backward()
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("micro", [1, 2, 3, 6, 7, 100])
def test_micro_batches_accumulate_to_the_gradient_of_the_batch(micro: int) -> None:
    model, batch = model_and_batch()
    pieces = gradients(model, batch, micro)
    model.zero_grad()
    logits = model.logits(model(batch["tokens"]))
    nn.functional.cross_entropy(logits.flatten(0, 1), batch["targets"].flatten()).backward()
    for accumulated, parameter in zip(pieces, model.parameters(), strict=True):
        torch.testing.assert_close(accumulated, parameter.grad, rtol=0, atol=1e-6)


def test_micro_batches_keep_all_sequences_in_order() -> None:
    batch = {"tokens": torch.arange(14).view(7, 2), "targets": torch.arange(14).view(7, 2) + 1}
    pieces = list(split_into_micro_batches(batch, 3))
    assert [len(piece["tokens"]) for piece in pieces] == [3, 3, 1]
    for name, tensor in batch.items():
        assert torch.equal(torch.cat([piece[name] for piece in pieces]), tensor)


def test_terms_are_weighted_and_divided_by_their_counts() -> None:
    terms = {"a": (1.0, torch.tensor(6.0)), "b": (0.5, torch.tensor(8.0)), "none": (1.0, torch.tensor(0.0))}
    assert combine_terms(terms, {"a": 3, "b": 2, "none": 0}).item() == 6 / 3 + 0.5 * 8 / 2


@pytest.mark.parametrize("largest", [0.01, 1e6])
def test_clipping_equals_torch(largest: float) -> None:
    model, batch = model_and_batch()
    gradients(model, batch, 7)
    other = copy.deepcopy(model)
    for mine, its in zip(model.parameters(), other.parameters(), strict=True):
        its.grad = mine.grad.clone()
    norm = nn.utils.clip_grad_norm_(other.parameters(), largest)
    mine = [parameter.grad for parameter in model.parameters()]
    result = global_gradient_norm(mine)
    scale_gradients(mine, result, largest)
    assert torch.equal(result, norm)
    for gradient, parameter in zip(mine, other.parameters(), strict=True):
        assert torch.equal(gradient, parameter.grad)


def test_mixed_seeds_differ_in_every_position() -> None:
    seeds = {
        mix_seeds(seed, step, slice_, micro) for seed in range(4) for step in range(50) for slice_ in range(4) for micro in range(4)
    }
    assert len(seeds) == 4 * 50 * 4 * 4
    assert mix_seeds(1, 2) != mix_seeds(2, 1)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_batch_micro_changes_weights_only_by_rounding(
    train: Callable[..., Any], weights: Callable[[Path], dict[str, Tensor]], tmp_path: Path
) -> None:
    train(tmp_path / "whole", "batch.micro=6", "trainer.max_steps=2", "optimizer.eps=1e-3")
    train(tmp_path / "uneven", "batch.micro=4", "trainer.max_steps=2", "optimizer.eps=1e-3")
    uneven = weights(tmp_path / "uneven")
    for name, tensor in weights(tmp_path / "whole").items():
        torch.testing.assert_close(uneven[name], tensor, rtol=0, atol=1e-6)


def test_non_finite_gradient_names_the_step_and_keeps_the_checkpoint(
    train: Callable[..., Any], weights: Callable[[Path], dict[str, Tensor]], tmp_path: Path
) -> None:
    wild = ("optimizer.lr=1000", "optimizer.weight_decay=1000", "optimizer.schedule.shape=constant", "optimizer.schedule.warmup=0")
    with pytest.raises(GptkitError, match=r"the gradient of step 2 is not finite .*last checkpoint is step 1: lower optimizer\.lr"):
        train(tmp_path, "save.every=1", *wild)
    assert all(tensor.isfinite().all() for tensor in weights(tmp_path).values())
