"""Copies checkpoint weights into models and objectives, and checks that they match."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.overrides import TorchFunctionMode

from gptkit.errors import CheckpointError
from gptkit.model.base import Model
from gptkit.objective.base import Objective
from gptkit.training.checkpoints.checkpoint import OBJECTIVE, Checkpoint


def load_weights(model: Model, state: dict[str, Tensor], source: str, *, tokens: int = 0) -> None:
    """Copy a complete state_dict into the model, converted to its dtype and device.

    Args:
        model: the model that receives the weights.
        state: the state_dict of a model with the same settings.
        source: the origin of the weights, for errors.
        tokens: number of tokenizer ids, whose rows both sides have. Rows after them, for tokens of the objective, may be missing on
            either side. 0: all rows must match.

    Raises:
        CheckpointError: a name, a shape or the kind of number differs; the message names the first.
    """
    if tokens:
        state = match_vocabulary(model, state, tokens)
    expected = model.state_dict()
    for name, tensor in state.items():
        if name in expected and _number_kind(tensor) != _number_kind(expected[name]):
            raise CheckpointError(
                f"{source}: weight {name} has dtype {tensor.dtype} in the checkpoint and {expected[name].dtype} in the model"
            )
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{source}: {_describe_mismatch(expected, state)}") from error


def restore_objective(objective: Objective, model: Model, checkpoint: Checkpoint) -> None:
    """Load the weights of an objective from a checkpoint whose model weights are loaded already.

    Raises:
        CheckpointError: the weights do not match the objective.
    """
    state = checkpoint.objective_state
    try:
        objective.restore(model, state)
    except (RuntimeError, KeyError) as error:  # torch raises these if names or shapes differ
        path = checkpoint.folder / OBJECTIVE
        raise CheckpointError(f"{path}: {_describe_mismatch(dict(objective.state_dict()), state)}") from error


def match_vocabulary(model: Model, state: dict[str, Tensor], tokens: int) -> dict[str, Tensor]:
    """Return the state with one row for each token of the model: drops extra rows, and takes missing ones from the model."""
    matched = dict(state)
    for name, expected in model.state_dict().items():
        tensor = state.get(name)
        if tensor is None or tensor.dim() == 0 or tensor.shape[1:] != expected.shape[1:] or len(expected) != model.vocabulary:
            continue
        common_rows = min(len(tensor), len(expected))
        if len(tensor) != len(expected) and common_rows >= tokens:
            matched[name] = torch.cat([tensor[:common_rows].to(expected), expected[common_rows:]])
    return matched


def _number_kind(tensor: Tensor) -> str:
    """Return the kind of number: real, complex or whole. Conversions between kinds would lose information."""
    return "real" if tensor.is_floating_point() else "complex" if tensor.is_complex() else "whole"


def _describe_mismatch(expected: dict[str, Tensor], state: dict[str, Tensor]) -> str:
    for name, tensor in expected.items():
        if name not in state:
            return f"the model has a weight {name} that the checkpoint lacks; was it trained with other settings?"
        if state[name].shape != tensor.shape:
            saved_shape, shape = tuple(state[name].shape), tuple(tensor.shape)
            return (
                f"weight {name} is {saved_shape} in the checkpoint and {shape} in the model; another tokenizer, width or context?"
            )
    extra = next((name for name in state if name not in expected), "")
    return f"the checkpoint has a weight {extra} that the model lacks; was it trained with other settings?"


class SkipInitialization(TorchFunctionMode):
    """Skips the random initialisation of parameters, which takes seconds for a large model and is overwritten anyway."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensor = args[0] if args else kwargs.get("tensor")
        if getattr(func, "__name__", "") in _RANDOM_INITIALIZERS and isinstance(tensor, Parameter):
            return tensor
        return func(*args, **kwargs)


_RANDOM_INITIALIZERS = (
    "normal_",
    "uniform_",
    "trunc_normal_",
    "kaiming_uniform_",
    "kaiming_normal_",
    "xavier_uniform_",
    "xavier_normal_",
)
