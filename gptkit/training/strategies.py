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


def is_first_process() -> bool:
    """Whether this is the first process of a run, also before Lightning has set the processes up."""
    return int(getattr(rank_zero_only, "rank", 0) or 0) == 0


class KitStrategy(ModelParallelStrategy):
    """Shards the module's `model` over the devices that take different sequences, before its optimizer is made."""

    def setup(self, trainer: lightning.Trainer) -> None:
        data = self.device_mesh["data_parallel"]
        if data.size() > 1:
            module: Any = self.lightning_module
            apply_fsdp(module.model, data, trainer.precision)
        super().setup(trainer)


class FSDP2Strategy(KitStrategy):
    """Every device holds a shard of weights, gradients and optimizer state, and takes its own sequences (FSDP2)."""

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes * self.num_processes
        self._tensor_parallel_size = 1
        super().setup_environment()


class TensorParallelStrategy(KitStrategy):
    """The devices of one machine split each layer's matrices; machines take their own sequences (tensor parallel)."""

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes
        self._tensor_parallel_size = self.num_processes
        super().setup_environment()


COMPUTE_DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""The format of matrix products by Lightning's name of the precision, where it is not that of the stored weights."""

STRATEGIES: dict[str, type[ModelParallelStrategy]] = {"fsdp2": FSDP2Strategy, "tp": TensorParallelStrategy}


@dataclass(frozen=True)
class BatchLayout:
    """Which of the step's sequences this device takes."""

    replica: int = 0
    replicas: int = 1
    """Slices that a step's batch is cut into; devices that split layers among them share one."""
    split: int = 1
    """Devices that share one slice."""


def batch_layout(trainer: lightning.Trainer) -> BatchLayout:
    """The layout of a trainer whose processes have been set up."""
    if isinstance(trainer.strategy, ModelParallelStrategy):
        mesh = trainer.strategy.device_mesh
        data = mesh["data_parallel"]
        return BatchLayout(data.get_local_rank(), data.size(), mesh["tensor_parallel"].size())
    return BatchLayout(trainer.global_rank, trainer.world_size)


def check_batch_divides(trainer: lightning.Trainer, size: int) -> None:
    """Raise a ConfigError where the sequences of a step cannot be shared out evenly; the processes need not have been set up."""
    replicas = trainer.num_nodes if isinstance(trainer.strategy, TensorParallelStrategy) else trainer.world_size
    if size % replicas:
        raise ConfigError(
            f"batch.size={size} is not divisible by the {replicas} devices that share it; choose a multiple of {replicas}"
        )


def apply_tensor_parallel(model: nn.Module, mesh: DeviceMesh) -> None:
    """Split a model's layers in place, as the mesh says; the strategy itself shards what is left, a moment later.

    Raises:
        ConfigError: the model has no layer that can be split.
    """
    split = mesh["tensor_parallel"]
    if split.size() > 1:
        split_layers(model, split)


def apply_fsdp(model: nn.Module, mesh: DeviceMesh, precision: str) -> None:
    """FSDP2: the blocks of every nn.ModuleList are gathered when they run; what is left, once per pass, in its stored format.

    Under mixed precision the shards and the sums of their gradients stay in float32, and a block's weights, norms apart, travel and
    are held in the lower precision: autocast alone would store a copy of every weight from its product forward to its product
    backward. It stays on for what flows between, so that norms and the residual stream are in float32 here as on one device.

    Args:
        model: with its whole weights.
        mesh: the devices, in one dimension.
        precision: Lightning's name.
    """
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

    lower = COMPUTE_DTYPES.get(precision)
    policy = MixedPrecisionPolicy()
    if lower is not None:
        policy = MixedPrecisionPolicy(param_dtype=lower, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for modules in reversed(list(model.modules())):  # what lies within another first
        for block in modules if isinstance(modules, nn.ModuleList) else ():
            for inner in block.modules() if lower is not None else ():
                if keeps_full_precision(inner) and not isinstance(inner, FSDPModule):
                    fully_shard(inner, mesh=mesh, reshard_after_forward=False)
            if not isinstance(block, FSDPModule):
                fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh)


def keeps_full_precision(module: nn.Module) -> bool:
    """Whether autocast leaves the weights of this module in their stored format: an embedding, or what is called a norm."""
    named = isinstance(module, nn.Embedding) or "norm" in type(module).__name__.lower()
    return named and any(True for _ in module.parameters(recurse=False))


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
def no_gradient_sync(trainer: lightning.Trainer) -> Iterator[None]:
    """Backward passes inside do not exchange gradients between devices, where each holds them whole; the first one after does.

    Where gradients are sharded every pass exchanges its own: until then each device would hold all of them.
    """
    from torch.nn.parallel import DistributedDataParallel

    wrapped = trainer.model
    with wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) else contextlib.nullcontext():
        yield


def sum_over_devices(numbers: list[float], device: torch.device, layout: BatchLayout) -> list[float]:
    """Each number summed over the slices of the batch; the devices that share a slice must bring the same."""
    if layout.replicas * layout.split == 1:
        return numbers
    total = torch.tensor(numbers, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(total)
    return [float(number) / layout.split for number in total.tolist()]
