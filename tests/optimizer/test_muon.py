"""Muon: orthogonalisation against singular values, the assignment of parameters, and a state_dict that round-trips."""

from __future__ import annotations

import copy
import io
import math

import pytest
import torch
from torch import nn

from gptkit.optimizer import AdamWConfig, MuonConfig
from gptkit.optimizer.newton_schulz import COEFFICIENTS, ROUNDS, orthogonalize


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(11, 6)
        self.up = nn.Linear(6, 10)
        self.across = nn.Linear(10, 10)
        self.down = nn.Linear(10, 6)
        self.norm = nn.LayerNorm(6)


def tiny() -> Tiny:
    torch.manual_seed(3)
    return Tiny()


def with_gradients(net: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


@pytest.mark.parametrize("shape", [(3, 4, 9), (2, 9, 4), (1, 5, 5)])
def test_orthogonalize_applies_the_polynomial_to_singular_values(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a, b, c = COEFFICIENTS
    for matrix, fast in zip(matrices, orthogonalize(matrices), strict=True):
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        values = values / matrix.norm()
        for _ in range(ROUNDS):
            values = a * values + b * values**3 + c * values**5
        torch.testing.assert_close(fast, left @ torch.diag(values) @ right, rtol=1e-9, atol=1e-9)


def test_a_matrix_of_zeros_stays_zero() -> None:
    assert torch.equal(orthogonalize(torch.zeros(1, 3, 5)), torch.zeros(1, 3, 5))


def test_hidden_matrices_are_updated_by_muon_and_the_rest_by_adamw() -> None:
    net, other = tiny().double(), tiny().double()
    settings = MuonConfig(lr=1e-2, momentum=0.9, weight_decay=0.1)
    muon = settings.build(parameters=net.named_parameters())
    adamw = AdamWConfig(lr=1e-2, weight_decay=0.1).build(parameters=other.named_parameters())
    slow = {
        name: (p.detach().clone(), torch.zeros_like(p))
        for name, p in net.named_parameters()
        if name.split(".")[0] in ("up", "across", "down") and p.ndim == 2
    }
    for seed in range(3):
        with_gradients(net, seed)
        with_gradients(other, seed)
        muon.step()
        adamw.step()
        for name, parameter in net.named_parameters():
            if name in slow:
                weight, average = slow[name]
                assert parameter.grad is not None
                average = 0.9 * average + 0.1 * parameter.grad
                ahead = 0.1 * parameter.grad + 0.9 * average
                flat = orthogonalize(ahead.float()[None])[0].double()
                size = 0.2 * math.sqrt(max(weight.shape))
                slow[name] = (weight * (1 - 1e-2 * 0.1) - 1e-2 * size * flat, average)
    assert sorted(slow) == ["across.weight", "down.weight", "up.weight"]
    same = dict(other.named_parameters())
    for name, parameter in net.named_parameters():
        expected = slow[name][0] if name in slow else same[name].detach()
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-6, atol=1e-7)


def test_learning_rate_is_stored_as_each_groups_peak() -> None:
    built = MuonConfig(lr=0.02).build(parameters=tiny().named_parameters())
    assert [group["peak_lr"] for group in built.param_groups] == [0.02] * 3


def test_a_saved_optimizer_resumes_bit_for_bit() -> None:
    net = tiny()
    optimizer = MuonConfig().build(parameters=net.named_parameters())
    for seed in range(3):
        with_gradients(net, seed)
        optimizer.step()
    stored = io.BytesIO()
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, stored)
    stored.seek(0)
    saved = torch.load(stored, weights_only=True)
    twin = copy.deepcopy(net)
    twin.load_state_dict(saved["net"])
    resumed = MuonConfig().build(parameters=twin.named_parameters())
    resumed.load_state_dict(saved["optimizer"])
    for seed in range(3, 6):
        with_gradients(net, seed)
        with_gradients(twin, seed)
        optimizer.step()
        resumed.step()
    for mine, its in zip(net.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, its)
