"""Sharded and split training: `trainer.strategy=fsdp2` and `tp` over ModelParallelStrategy, and who takes which sequences."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from gptkit.errors import ConfigError


def is_first() -> bool:
    """Whether this is the first process of a run, also before Lightning has set the processes up."""
    return int(getattr(rank_zero_only, "rank", 0) or 0) == 0


class ShardedData(ModelParallelStrategy):
    """Every device holds a shard of weights, gradients and optimizer state, and takes its own sequences (FSDP2)."""

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes * self.num_processes
        self._tensor_parallel_size = 1
        super().setup_environment()


class SplitLayers(ModelParallelStrategy):
    """The devices of one machine split each layer's matrices; machines take their own sequences (tensor parallel)."""

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes
        self._tensor_parallel_size = self.num_processes
        super().setup_environment()


OURS: dict[str, type[ModelParallelStrategy]] = {"fsdp2": ShardedData, "tp": SplitLayers}


@dataclass(frozen=True)
class Layout:
    """Which of the step's sequences this device takes."""

    replica: int = 0
    replicas: int = 1
    """Slices that a step's batch is cut into; devices that split layers among them share one."""
    split: int = 1
    """Devices that share one slice."""


def layout_of(trainer: lightning.Trainer) -> Layout:
    """The layout of a trainer whose processes have been set up."""
    if isinstance(trainer.strategy, ModelParallelStrategy):
        mesh = trainer.strategy.device_mesh
        data = mesh["data_parallel"]
        return Layout(data.get_local_rank(), data.size(), mesh["tensor_parallel"].size())
    return Layout(trainer.global_rank, trainer.world_size)


def parallelize(model: nn.Module, mesh: DeviceMesh) -> None:
    """Split and shard a model in place, as the mesh says.

    Raises:
        ConfigError: the model has no layer that can be split.
    """
    split, data = mesh["tensor_parallel"], mesh["data_parallel"]
    if split.size() > 1:
        split_layers(model, split)
    if data.size() > 1:
        shard(model, data)


def shard(model: nn.Module, mesh: DeviceMesh) -> None:
    """FSDP2: one unit per block of every nn.ModuleList, gathered when it runs, and one for what is left."""
    from torch.distributed.fsdp import fully_shard

    for modules in model.modules():
        if isinstance(modules, nn.ModuleList):
            for block in modules:
                fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def split_layers(model: nn.Module, mesh: DeviceMesh) -> None:
    """Tensor parallelism: pairs of linear layers are split by the columns of the first and the rows of the second.

    Source: "Megatron-LM", section 3. Of the MLP (`mlp.input`, `mlp.output`) hidden units are split. Of attention (`attention.qkv`,
    `attention.output`) the projections are; what lies between runs whole on every device, so that it fits every attention type.

    Raises:
        ConfigError: the model has none of these layers, or the devices do not divide their width.
    """
    from torch.distributed.tensor import Replicate
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    styles = {
        "mlp.input": lambda: ColwiseParallel(),
        "mlp.output": lambda: RowwiseParallel(),
        "attention.qkv": lambda: ColwiseParallel(output_layouts=Replicate()),
        "attention.output": lambda: RowwiseParallel(input_layouts=Replicate()),
    }
    plan: dict[str, Any] = {}
    for name, module in model.named_modules():
        style = styles.get(".".join(name.split(".")[-2:]))
        if style is None or not isinstance(module, nn.Linear):
            continue
        if module.in_features % mesh.size() or module.out_features % mesh.size():
            raise ConfigError(
                f"trainer.strategy=tp: {mesh.size()} devices do not divide {name}; choose trainer.devices to divide model.width"
            )
        plan[name] = style()  # type: ignore[no-untyped-call]
    if not plan:
        raise ConfigError(f"trainer.strategy=tp cannot split {type(model).__name__}; use trainer.strategy=fsdp2 or ddp")
    parallelize_module(model, mesh, plan)


@contextlib.contextmanager
def gradients_held_back(trainer: lightning.Trainer, model: nn.Module) -> Iterator[None]:
    """Backward passes inside do not exchange gradients between devices; the first one after the block exchanges them all."""
    from torch.distributed.fsdp import FSDPModule
    from torch.nn.parallel import DistributedDataParallel

    wrapped = trainer.model
    if isinstance(wrapped, DistributedDataParallel):
        with wrapped.no_sync():
            yield
    elif isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(False)
        yield
        model.set_requires_gradient_sync(True)
    else:
        yield


def summed(numbers: list[float], device: torch.device, layout: Layout) -> list[float]:
    """Each number summed over the slices of the batch; the devices that share a slice must bring the same."""
    if layout.replicas * layout.split == 1:
        return numbers
    total = torch.tensor(numbers, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(total)
    return [float(number) / layout.split for number in total.tolist()]
