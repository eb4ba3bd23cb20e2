"""Muon for hidden matrices and AdamW for everything else, as one torch optimizer.

torch.optim.Muon takes matrices one by one and always in bfloat16, which most processors emulate; here matrices of one shape are
orthogonalised together, and in float32 on processors. The update is the same.
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
"""Root mean square of an AdamW update in practice ("Muon is Scalable for LLM Training", section 2.2)."""


def build_muon(settings: MuonConfig, parameters: Iterable[tuple[str, Parameter]]) -> MuonAndAdamW:
    """Matrices of the blocks go to Muon; embeddings, head, gains and biases to AdamW.

    Args:
        settings: the part.
        parameters: names and tensors of what is trained, on their final device.
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
    """Each group says by `muon` which rule it follows; the state of both is one state_dict."""

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["muon"]:
                self._step_muon(group, moved)
            elif moved:
                self._step_adamw(group, moved)
        return loss

    def _step_muon(self, group: dict[str, Any], parameters: list[Parameter]) -> None:
        """Nesterov momentum, orthogonalised and scaled to the size of an AdamW update, with decoupled weight decay."""
        lr, momentum = group["lr"], group["momentum"]
        by_shape: dict[tuple[torch.Size, bool], list[Tensor]] = {}
        for parameter in parameters:
            by_shape.setdefault((parameter.shape, is_distributed(parameter)), []).append(parameter)
        for (shape, _), alike in by_shape.items():
            averages = [self._momentum(parameter) for parameter in alike]
            gradients = [parameter.grad for parameter in alike if parameter.grad is not None]
            torch._foreach_lerp_(averages, gradients, 1.0 - momentum)
            ahead = torch._foreach_lerp(gradients, averages, momentum)
            updates = _orthogonalized(list(ahead))
            torch._foreach_mul_(alike, 1.0 - lr * group["weight_decay"])
            torch._foreach_add_(alike, updates, alpha=-lr * UPDATE_RMS * math.sqrt(max(shape)))

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]  # type: ignore[no-any-return]

    def _step_adamw(self, group: dict[str, Any], parameters: list[Parameter]) -> None:
        """torch's own fused AdamW over this optimizer's state."""
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


def _orthogonalized(updates: list[Tensor]) -> list[Tensor]:
    """Each (R, C) update orthogonalised; sharded ones are gathered first: a shard has other singular values than the whole."""
    whole = [update.full_tensor() if is_distributed(update) else update for update in updates]
    dtype = torch.float32 if whole[0].device.type == "cpu" else torch.bfloat16
    with torch.autocast(whole[0].device.type, enabled=False):
        done = orthogonalize(torch.stack(whole).to(dtype)).to(whole[0].dtype).unbind()
    return [_shard_like(update, flat) if is_distributed(update) else flat for update, flat in zip(updates, done, strict=True)]


def _shard_like(sharded: Any, whole: Tensor) -> Tensor:
    """The whole tensor, which every process holds, cut as the sharded one is."""
    from torch.distributed.tensor import DTensor, Replicate

    mesh = sharded.device_mesh
    return DTensor.from_local(whole, mesh, [Replicate()] * mesh.ndim, run_check=False).redistribute(mesh, sharded.placements)
