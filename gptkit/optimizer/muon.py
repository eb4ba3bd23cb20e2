"""Muon for hidden matrices and AdamW for everything else, as one torch optimizer.

torch.optim.Muon orthogonalises matrices one by one and always in bfloat16, which most CPUs emulate. This optimizer orthogonalises
matrices of equal shape together, and in float32 on CPUs. The update is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adamw import adamw

from gptkit.optimizer import MuonConfig
from gptkit.optimizer.groups import decay_groups, is_distributed, is_embedding_or_head
from gptkit.optimizer.newton_schulz import orthogonalize

UPDATE_RMS = 0.2
"""The typical root mean square of an AdamW update ("Muon is Scalable for LLM Training", section 2.2)."""


def build_muon(settings: MuonConfig, parameters: Iterable[tuple[str, Parameter]]) -> MuonAndAdamW:
    """Build the optimizer, with Muon for matrices of the blocks and AdamW for embeddings, head, gains and biases.

    Args:
        settings: the config.
        parameters: names and tensors of the trained parameters, on their final device.
    """
    named = list(parameters)
    hidden = [parameter for name, parameter in named if parameter.ndim == 2 and not is_embedding_or_head(name)]
    rest = [(name, parameter) for name, parameter in named if parameter.ndim != 2 or is_embedding_or_head(name)]
    adam = {"betas": tuple(settings.betas), "eps": settings.eps, "muon": False}
    groups = decay_groups(rest, lr=settings.lr, weight_decay=settings.weight_decay, **adam)
    if hidden:
        shared = {"lr": settings.lr, "peak_lr": settings.lr, "weight_decay": settings.weight_decay}
        groups.append({"params": hidden, **shared, "momentum": settings.momentum, "muon": True})
    return MuonAndAdamW(groups)


class MuonAndAdamW(torch.optim.Optimizer):
    """The entry `muon` of a group selects the update rule. One state_dict contains the state of both."""

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["muon"]:
                self._step_muon(group, parameters)
            elif parameters:
                self._step_adamw(group, parameters)
        return loss

    def _step_muon(self, group: dict[str, Any], parameters: list[Parameter]) -> None:
        """Update with Nesterov momentum, orthogonalised and scaled to the size of an AdamW update, and decoupled weight decay."""
        lr, momentum = group["lr"], group["momentum"]
        by_shape: dict[tuple[torch.Size, bool], list[Tensor]] = {}
        for parameter in parameters:
            by_shape.setdefault((parameter.shape, is_distributed(parameter)), []).append(parameter)
        for (shape, _), matrices in by_shape.items():
            averages = [self._momentum(parameter) for parameter in matrices]
            gradients = [parameter.grad for parameter in matrices if parameter.grad is not None]
            torch._foreach_lerp_(averages, gradients, 1.0 - momentum)
            nesterov = torch._foreach_lerp(gradients, averages, momentum)
            updates = _orthogonalize_updates(list(nesterov))
            torch._foreach_mul_(matrices, 1.0 - lr * group["weight_decay"])
            torch._foreach_add_(matrices, updates, alpha=-lr * UPDATE_RMS * math.sqrt(max(shape)))

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]  # type: ignore[no-any-return]

    def _step_adamw(self, group: dict[str, Any], parameters: list[Parameter]) -> None:
        """Update with PyTorch's fused AdamW and the state of this optimizer."""
        for parameter in parameters:
            if not (state := self.state[parameter]):
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        states = [self.state[parameter] for parameter in parameters]
        beta1, beta2 = group["betas"]
        adamw(
            list(parameters),
            [parameter.grad for parameter in parameters if parameter.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=all(parameter.device.type in ("cpu", "cuda") for parameter in parameters),
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )


def _orthogonalize_updates(updates: list[Tensor]) -> list[Tensor]:
    """Orthogonalise each (R, C) update. Gathers sharded updates first, since a shard has other singular values."""
    full = [update.full_tensor() if is_distributed(update) else update for update in updates]
    dtype = torch.float32 if full[0].device.type == "cpu" else torch.bfloat16
    with torch.autocast(full[0].device.type, enabled=False):
        results = orthogonalize(torch.stack(full).to(dtype)).to(full[0].dtype).unbind()
    pairs = zip(updates, results, strict=True)
    return [_shard_like(update, result) if is_distributed(update) else result for update, result in pairs]


def _shard_like(sharded: Any, full: Tensor) -> Tensor:
    """Shard a full tensor, which every process has, like a sharded one."""
    from torch.distributed.tensor import DTensor, Replicate

    mesh = sharded.device_mesh
    return DTensor.from_local(full, mesh, [Replicate()] * mesh.ndim, run_check=False).redistribute(mesh, sharded.placements)
