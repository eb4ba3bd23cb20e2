"""AdamW: which tensors are decayed, and the update against the published algorithm."""

from __future__ import annotations

import torch
from torch import nn

from gptkit.optimizer import AdamWConfig


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Embedding(7, 6), nn.Linear(6, 5), nn.LayerNorm(5))


def test_matrices_and_embeddings_decay_and_gains_and_biases_do_not() -> None:
    built = AdamWConfig(lr=3e-4, weight_decay=0.1).build(parameters=network().named_parameters())
    decayed, plain = built.param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(7, 6), (5, 6)]
    assert {p.ndim for p in plain["params"]} == {1}
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert decayed["peak_lr"] == plain["peak_lr"] == 3e-4


def test_updates_match_the_algorithm() -> None:
    net = network().double()
    settings = AdamWConfig(lr=1e-2, betas=[0.9, 0.95], eps=1e-8, weight_decay=0.1)
    optimizer = settings.build(parameters=net.named_parameters())
    slow = {name: p.detach().clone() for name, p in net.named_parameters()}
    first = {name: torch.zeros_like(p) for name, p in slow.items()}
    second = {name: torch.zeros_like(p) for name, p in slow.items()}
    for step in range(1, 5):
        for p in net.parameters():
            p.grad = torch.randn_like(p)
        optimizer.step()
        for name, p in net.named_parameters():
            first[name] = 0.9 * first[name] + 0.1 * p.grad
            second[name] = 0.95 * second[name] + 0.05 * p.grad**2
            decay = 0.1 if p.ndim >= 2 else 0.0
            root = (second[name] / (1 - 0.95**step)).sqrt() + 1e-8
            slow[name] = slow[name] - 1e-2 * decay * slow[name] - 1e-2 * first[name] / (1 - 0.9**step) / root
    for name, p in net.named_parameters():
        torch.testing.assert_close(p.detach(), slow[name], rtol=1e-12, atol=1e-12)
