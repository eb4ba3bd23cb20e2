"""Models with an adapter: a frozen base, and the adapter's weights, which are trained, saved, turned off and merged."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from gptkit.adapter import AdapterConfig
from gptkit.model.base import Model


def add_adapter(model: Model, config: AdapterConfig, *, seed: int) -> None:
    """Add an adapter to a model in place, with the model's dtype and device, and freeze all other weights."""
    parameter = next(model.parameters())
    with torch.random.fork_rng(devices=[]):
        adapter = config.build(model=model, seed=seed)
    adapter.settings, adapter.seed = config, seed
    model.to(parameter.device, parameter.dtype)
    for name, weight in model.named_parameters():
        weight.requires_grad_(adapter.owns(name))
    model.adapter = adapter


def merge_adapter(model: Model) -> None:
    """Merge the adapter of a model into its weights in place. Without an adapter, nothing changes."""
    if model.adapter is not None:
        with torch.no_grad():
            model.adapter.merge(model)
        model.adapter = None
        model.requires_grad_(True)


def copy_with_shared_base(model: Model) -> Model:
    """Return a copy of a model that shares the weights of the base. A model without an adapter is copied completely."""
    frozen = {} if model.adapter is None else {id(weight): weight for weight in model.parameters() if not weight.requires_grad}
    return copy.deepcopy(model, frozen)


@contextlib.contextmanager
def reference_model(model: Model, reference: Model | None) -> Iterator[Model]:
    """Return a context with the initial model of a run: a copy, or the model itself with its adapter turned off.

    Args:
        model: the model in training.
        reference: the result of `copy_reference`.
    """
    if reference is not None:
        yield reference
        return
    assert model.adapter is not None
    with model.adapter.disabled(model):
        yield model


def copy_reference(model: Model) -> Model | None:
    """Return a frozen copy of a model; None if it has an adapter, and is its own reference when that is turned off."""
    return None if model.adapter is not None else copy.deepcopy(model).requires_grad_(False)


def base_names(module: nn.Module) -> set[str]:
    """Return the names in the state_dict of a module that belong to the base of a model with an adapter."""
    names = set()
    for prefix, child in module.named_modules():
        if isinstance(child, Model) and child.adapter is not None:
            own = child.adapter.owns
            names |= {f"{prefix}.{name}".removeprefix(".") for name in child.state_dict() if not own(name)}
    return names


def without_base(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries of a module's state_dict that a checkpoint holds: all, except those of a base."""
    base = base_names(module)
    return {name: tensor for name, tensor in state.items() if name not in base}


def with_base(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a complete state_dict from the result of `without_base`, with the base that the module has."""
    base = base_names(module)
    return {**{name: tensor for name, tensor in module.state_dict().items() if name in base}, **state} if base else dict(state)
