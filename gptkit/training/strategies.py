"""Sharded training (`trainer.strategy=fsdp2` and `tp`) on ModelParallelStrategy, and the distribution of a batch over devices."""

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
    """Return whether this is the first process of a run. It also works before Lightning has set up the processes."""
    return int(getattr(rank_zero_only, "rank", 0) or 0) == 0


class KitStrategy(ModelParallelStrategy):
    """Shards the module's `model` over its data parallel devices before the optimizer is built."""

    def setup(self, trainer: lightning.Trainer) -> None:
        data = self.device_mesh["data_parallel"]
        if data.size() > 1:
            module: Any = self.lightning_module
            apply_fsdp(module.model, data, trainer.precision)
        super().setup(trainer)


class FSDP2Strategy(KitStrategy):
    """FSDP2: every device holds a shard of the weights, gradients and optimizer state, and processes different sequences."""

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes * self.num_processes
        self._tensor_parallel_size = 1
        super().setup_environment()


class TensorParallelStrategy(KitStrategy):
    """Tensor parallelism: the devices of one machine split each layer's matrices. Each machine processes different sequences."""

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes
        self._tensor_parallel_size = self.num_processes
        super().setup_environment()


COMPUTE_DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""The dtype of matrix products by Lightning's name of the precision, where it differs from that of the stored weights."""

STRATEGIES: dict[str, type[ModelParallelStrategy]] = {"fsdp2": FSDP2Strategy, "tp": TensorParallelStrategy}


@dataclass(frozen=True)
class BatchLayout:
    """The slice of a step's batch that this device processes."""

    replica: int = 0
    """The index of the slice."""
    replicas: int = 1
    """The number of slices of a batch. Tensor parallel devices share a slice."""
    split: int = 1
    """The number of devices that share a slice."""


def batch_layout(trainer: lightning.Trainer) -> BatchLayout:
    """Return the layout of a trainer whose processes have been set up."""
    if isinstance(trainer.strategy, ModelParallelStrategy):
        mesh = trainer.strategy.device_mesh
        data = mesh["data_parallel"]
        return BatchLayout(data.get_local_rank(), data.size(), mesh["tensor_parallel"].size())
    return BatchLayout(trainer.global_rank, trainer.world_size)


def check_batch_divides(trainer: lightning.Trainer, size: int) -> None:
    """Check that the devices divide the batch size. The processes need not have been set up.

    Raises:
        ConfigError: the devices do not divide the batch size.
    """
    replicas = trainer.num_nodes if isinstance(trainer.strategy, TensorParallelStrategy) else trainer.world_size
    if size % replicas:
        raise ConfigError(
            f"batch.size={size} is not divisible by the {replicas} devices that share it; choose a multiple of {replicas}"
        )


def apply_tensor_parallel(model: nn.Module, mesh: DeviceMesh) -> None:
    """Split a model's layers in place over the tensor parallel devices. The strategy shards the model afterwards.

    Raises:
        ConfigError: the model has no layer that can be split.
    """
    tensor_parallel_mesh = mesh["tensor_parallel"]
    if tensor_parallel_mesh.size() > 1:
        split_layers(model, tensor_parallel_mesh)


def apply_fsdp(model: nn.Module, mesh: DeviceMesh, precision: str) -> None:
    """Apply FSDP2 to a model. Each block of an nn.ModuleList is one unit, gathered when it runs; the other weights are another.

    Under mixed precision, shards and gradient reductions stay in float32, and the weights of a block, except for norms, are
    gathered in the lower precision. Autocast alone would store a copy of every weight between its forward and its backward
    product. Autocast stays on for activations, so norms and the residual stream are in float32 as on one device.

    Args:
        model: the model with its full weights.
        mesh: the devices, in one dimension.
        precision: Lightning's name of the precision.
    """
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

    lower = COMPUTE_DTYPES.get(precision)
    policy = MixedPrecisionPolicy()
    if lower is not None:
        policy = MixedPrecisionPolicy(param_dtype=lower, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for modules in reversed(list(model.modules())):  # inner modules first
        for block in modules if isinstance(modules, nn.ModuleList) else ():
            for inner in block.modules() if lower is not None else ():
                if keeps_full_precision(inner) and not isinstance(inner, FSDPModule):
                    fully_shard(inner, mesh=mesh, reshard_after_forward=False)
            if not isinstance(block, FSDPModule):
                fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh)


def keeps_full_precision(module: nn.Module) -> bool:
    """Return whether autocast keeps the weights of this module in their stored dtype: embeddings and norms."""
    is_kept = isinstance(module, nn.Embedding) or "norm" in type(module).__name__.lower()
    return is_kept and any(True for _ in module.parameters(recurse=False))


def split_layers(model: nn.Module, mesh: DeviceMesh) -> None:
    """Split pairs of linear layers by the columns of the first and the rows of the second (tensor parallelism).

    Source: "Megatron-LM", section 3. In the MLP (`mlp.input`, `mlp.output`), hidden units are split. In attention
    (`attention.qkv`, `attention.output`), only the projections are split; every device computes the whole attention between them,
    so every attention type works.

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
    """Context in which DDP does not synchronize gradients. The first backward pass after it does.

    Sharded gradients are reduced in every pass; otherwise each device would have to hold the full gradients.
    """
    from torch.nn.parallel import DistributedDataParallel

    wrapped = trainer.model
    with wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) else contextlib.nullcontext():
        yield


def sum_over_devices(numbers: list[float], device: torch.device, layout: BatchLayout) -> list[float]:
    """Return the sum of each number over the slices of the batch. Devices that share a slice must pass equal numbers."""
    if layout.replicas * layout.split == 1:
        return numbers
    total = torch.tensor(numbers, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(total)
    return [float(number) / layout.split for number in total.tolist()]
