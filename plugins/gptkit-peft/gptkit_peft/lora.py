"""LoRA by peft: finds the linear layers of a model, adds the matrices, turns them off, and merges them."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers.pytorch_utils import Conv1D

from gptkit.adapter.base import Adapter
from gptkit.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from gptkit_peft import LoRAConfig


class LoRA(Adapter):
    """The matrices A (r, D) and B (N, r) of each adapted layer, whose output is W x + alpha / r B A x. B is initially zero."""

    def owns(self, name: str) -> bool:
        return ".lora_" in name

    @contextlib.contextmanager
    def disabled(self, model: nn.Module) -> Iterator[None]:
        trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
        layers = lora_layers(model)
        for layer in layers:
            layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer in layers:
                layer.enable_adapters(True)
            for parameter in model.parameters():  # peft turns on the gradients of all adapters, also of frozen copies
                parameter.requires_grad_(id(parameter) in trained)

    def merge(self, model: nn.Module) -> None:
        for name, layer in [(name, module) for name, module in model.named_modules() if isinstance(module, LoraLayer)]:
            layer.merge()
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, layer.get_base_layer())
        model.__dict__.pop("peft_config", None)


def lora_layers(model: nn.Module) -> list[LoraLayer]:
    """Return the adapted layers of a model."""
    return [module for module in model.modules() if isinstance(module, LoraLayer)]


def add_lora(settings: LoRAConfig, model: nn.Module, *, seed: int) -> LoRA:
    """Add LoRA to the layers that the settings name.

    Raises:
        ConfigError: the model has no linear layer of these names.
    """
    targets = target_layers(settings, model)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type, unused-ignore]  # the annotation is int, and the value only a factor
        lora_dropout=settings.dropout,
        target_modules=targets,
        fan_in_fan_out=all(isinstance(model.get_submodule(name), Conv1D) for name in targets),
    )
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")  # a model with both kinds of layers; peft corrects it
        inject_adapter_in_model(config, model)
    for layer in lora_layers(model):  # peft casts inputs to the dtype of A and B, which autocast would cast back
        layer.cast_input_dtype_enabled = False
    return LoRA()


def target_layers(settings: LoRAConfig, model: nn.Module) -> list[str]:
    """Return the full names of the adapted layers: all linear layers in the blocks, or those whose name ends with a given one.

    Raises:
        ConfigError: a name matches no layer, or the model has no linear layer.
    """
    blocks = [f"{name}." for name, module in model.named_modules() if isinstance(module, nn.ModuleList)]
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    layers = [name for name in layers if name.startswith(tuple(blocks))]
    if not layers:
        raise ConfigError(f"adapter=lora: {type(model).__name__} has no linear layer in its blocks; choose another model")
    if not settings.targets:
        return layers
    names = {".".join(name.split(".")[start:]) for name in layers for start in range(name.count(".") + 1)}
    for target in settings.targets:
        if target not in names:
            kinds = sorted({".".join(part for part in name.split(".")[-2:] if not part.isdecimal()) for name in layers})
            near = did_you_mean(target, kinds) or f" They are {', '.join(kinds)}."
            raise ConfigError(f"adapter.targets: the model has no linear layer {target} in its blocks.{near}")
    return [name for name in layers if any(f".{name}".endswith(f".{target}") for target in settings.targets)]
