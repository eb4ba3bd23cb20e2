"""Gradients of PPO and PPO-ptx: those of the sum of both losses, for any micro-batches and devices."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.objective.rl.tiny_ppo import gradient, nearly, roll


def test_the_gradient_of_ppo_ptx_is_the_sum_of_both_gradients(ppo: Callable[..., Any]) -> None:
    objective, model = ppo(ptx_coef=27.8, ptx_ratio=2)
    (minibatch,) = roll(objective, model, 8)
    assert list(minibatch) == ["ptx", "ppo"]
    assert len(minibatch["ptx"]["tokens"]) == 2 * 8
    both = gradient(objective, model, minibatch)
    own = gradient(objective, model, {"ppo": minibatch["ppo"]})
    model.zero_grad()
    hidden = model(minibatch["ptx"]["tokens"])
    torch.nn.functional.cross_entropy(model.logits(hidden).flatten(0, 1), minibatch["ptx"]["targets"].flatten()).backward()
    text = {name: parameter.grad for name, parameter in model.named_parameters()}
    expected = {name: result + 27.8 * text[name] if name in text else result for name, result in own.items()}
    scale = max(float(tensor.abs().max()) for tensor in expected.values())
    assert all(torch.allclose(both[name], expected[name], atol=1e-6 * scale, rtol=1e-5) for name in expected)


def test_ppo_without_pretraining_matches_ppo_ptx_bit_for_bit(ppo: Callable[..., Any]) -> None:
    mixed, plain = roll(*ppo(ptx_coef=27.8))[0], roll(*ppo(ptx_coef=0.0))[0]
    assert list(plain) == ["ppo"]
    measured = {"seconds_generate", "seconds_score", "generated_per_second"}
    assert all(torch.equal(plain["ppo"][name], mixed["ppo"][name]) for name in plain["ppo"] if name not in measured)
    objective, model = ppo(ptx_coef=0.0)
    other, twin = ppo(ptx_coef=27.8)
    left, right = gradient(objective, model, plain), gradient(other, twin, {"ppo": mixed["ppo"]})
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_accumulation_does_not_change_the_gradient(ppo: Callable[..., Any]) -> None:
    objective, model = ppo(ptx_coef=2.0, ptx_ratio=1)
    (minibatch,) = roll(objective, model, 16)
    assert nearly(gradient(objective, model, minibatch, micro=2), gradient(objective, model, minibatch))


def test_devices_do_not_change_the_gradient(ppo: Callable[..., Any]) -> None:
    """Two threads act as two devices; their minibatches together equal those of one device."""
    settings = {"minibatch": 8, "whiten_rewards": True, "kl_target": 4.0}
    objective, model = ppo(**settings)
    whole = roll(objective, model, 16)
    meeting, brought = threading.Barrier(2), [torch.empty(0), torch.empty(0)]
    result: list[Any] = [None, None]

    def device(number: int) -> None:
        def total(tensor: Tensor) -> Tensor:
            brought[number] = tensor
            meeting.wait()
            together = brought[0] + brought[1]
            meeting.wait()
            return together

        own, policy = copy.deepcopy(objective), copy.deepcopy(model)
        own.kl_coef.fill_(0.02)
        result[number] = roll(own, policy, 8, first=8 * number, total=total)

    threads = [threading.Thread(target=device, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, minibatch in enumerate(whole):
        parts = [result[0][number], result[1][number]]
        counts = objective.counts(parts[0]["ppo"])
        counts = {name: count + objective.counts(parts[1]["ppo"])[name] for name, count in counts.items()}
        gradients = [gradient(objective, model, part, counts=counts) for part in parts]
        summed = {name: gradients[0][name] + gradients[1][name] for name in gradients[0]}
        assert nearly(summed, gradient(objective, model, minibatch))
        assert float(parts[0]["ppo"]["score"][0]) == pytest.approx(float(minibatch["ppo"]["score"][0]))
