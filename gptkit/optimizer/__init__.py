"""Optimizers: the base class of their configs with the shared keys, the built-in configs, and the hook that registers them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from gptkit.constraints import LEARNING_RATE, TOKENS, above, at_least, at_most, below, items, one_of
from gptkit.hookspecs import hookimpl
from gptkit.parts import Part

if TYPE_CHECKING:
    import torch


@dataclass
class ScheduleConfig:
    """The learning rate as a function of the number of tokens read; computed in `gptkit.optimizer.schedule`."""

    shape: Annotated[str, "after warm-up: cosine, linear or constant", one_of("cosine", "linear", "constant")] = "cosine"
    warmup: Annotated[float, "tokens of linear warm-up; below 1, a fraction of the run", at_least(0), at_most(TOKENS)] = 0.02
    start: Annotated[
        float, "learning rate of the first update of the warm-up, as a fraction of the peak", at_least(0), at_most(1)
    ] = 0.0
    decay: Annotated[
        float, "tokens after which the learning rate reaches the floor; at most 1, a fraction of the run", above(0), at_most(TOKENS)
    ] = 1.0
    floor: Annotated[float, "lowest learning rate, as a fraction of the peak", at_least(0), at_most(1)] = 0.1


@dataclass
class OptimizerConfig(Part):
    """A torch optimizer over named parameters.

    Subclasses set `name` to a default, add fields and implement `build`. Before each update, the learning rate of every parameter
    group is set to its peak times the schedule, so `build` must store the peak in `group["peak_lr"]`.
    """

    name: str = ""
    lr: Annotated[float, "peak learning rate", at_least(0), at_most(LEARNING_RATE)] = 1e-3
    clip: Annotated[float, "maximum global norm of the gradient; 0: do not clip", at_least(0)] = 1.0
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)

    def build(self, *, parameters: Iterable[tuple[str, torch.nn.Parameter]]) -> torch.optim.Optimizer:
        """Build the optimizer.

        Args:
            parameters: names and tensors of the trained parameters, on their final device.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


@dataclass
class AdamWConfig(OptimizerConfig):
    """Adam with decoupled weight decay on tensors of rank two and more.

    Source: "Decoupled Weight Decay Regularization", algorithm 2.
    """

    name: str = "adamw"
    betas: Annotated[list[float], "decay rates of the two running averages", items(2), at_least(0), below(1)] = field(
        default_factory=lambda: [0.9, 0.95]
    )
    eps: Annotated[float, "added to the denominator", at_least(0), at_most(1)] = 1e-8
    weight_decay: Annotated[
        float,
        "decoupled weight decay of matrices and embeddings; biases and gains are not decayed",
        at_least(0),
        at_most(LEARNING_RATE),
    ] = 0.1

    def build(self, *, parameters: Iterable[tuple[str, torch.nn.Parameter]]) -> torch.optim.Optimizer:
        from gptkit.optimizer.adamw import build_adamw

        return build_adamw(self, parameters)


@dataclass
class MuonConfig(OptimizerConfig):
    """Muon (momentum orthogonalised by Newton-Schulz) for hidden matrices, AdamW for embeddings, gains and biases.

    Source: Keller Jordan, "Muon: an optimizer for hidden layers in neural networks" (2024); "Muon is Scalable for LLM
    Training", section 2.2, for matching the size of AdamW's updates, so that both use the same learning rate.
    """

    name: str = "muon"
    momentum: Annotated[float, "decay rate of the momentum of matrices", at_least(0), below(1)] = 0.95
    betas: Annotated[list[float], "AdamW: decay rates of the two running averages", items(2), at_least(0), below(1)] = field(
        default_factory=lambda: [0.9, 0.95]
    )
    eps: Annotated[float, "AdamW: added to the denominator", at_least(0), at_most(1)] = 1e-8
    weight_decay: Annotated[
        float,
        "decoupled weight decay of matrices and embeddings; biases and gains are not decayed",
        at_least(0),
        at_most(LEARNING_RATE),
    ] = 0.1

    def build(self, *, parameters: Iterable[tuple[str, torch.nn.Parameter]]) -> torch.optim.Optimizer:
        from gptkit.optimizer.muon import build_muon

        return build_muon(self, parameters)


@hookimpl
def gptkit_optimizer() -> list[type[OptimizerConfig]]:
    return [AdamWConfig, MuonConfig]
