"""The value network: predicts the return at each token of a response."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from gptkit.data.dataset import Batch
from gptkit.errors import ConfigError
from gptkit.model.adapted import add_adapter, copy_with_shared_base
from gptkit.objective.precision import upcast_linear
from gptkit.objective.rl.rollout import make_zero_batch, response_hidden_states

if TYPE_CHECKING:
    from gptkit.adapter.base import Adapter
    from gptkit.model.base import Model
    from gptkit.objective.base import TrainedModel
    from gptkit.tokenizer.base import Tokenizer


class ValueNetwork(nn.Module):
    """A separate model with a linear head on its hidden states. It shares no trained weights with the policy."""

    def __init__(self, model: Model, head: nn.Linear) -> None:
        super().__init__()
        self.model = model
        self.head = head

    def forward(self, batch: Batch) -> Tensor:
        """Return the value of the state before each token of the responses, (N,) in at least float32."""
        return upcast_linear(self.head, response_hidden_states(self.model, batch)).squeeze(-1)

    def freeze_unused(self) -> None:
        """Freeze parameters that do not affect values, such as an output layer, since DDP waits for the gradients of all others."""
        batch = make_zero_batch(1, prompt_length=1, response_length=1, device=self.head.weight.device)
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        gradients = torch.autograd.grad(self(batch).sum(), parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.requires_grad_(gradient is not None)


def value_network_from_policy(model: Model) -> ValueNetwork:
    """Return a copy of the policy with a head of zeros, so that all values are 0.

    With an adapter, the copy has an adapter of its own, and shares the base with the policy.
    """
    value_model = copy_with_shared_base(model)
    if model.adapter is None:
        value_model.requires_grad_(True)
    width = _hidden_states(value_model).shape[-1]
    head = nn.Linear(width, 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return ValueNetwork(value_model, head)


def value_network_from_reward(
    trained: TrainedModel, tokenizer: Tokenizer, context: int, *, adapter: Adapter | None = None
) -> ValueNetwork:
    """Return a copy of a reward model, so that initial values are scores.

    Args:
        trained: the reward model.
        tokenizer: the tokenizer of the policy.
        context: the context of the policy.
        adapter: the adapter of the policy; the copy is frozen, and one with the same settings is trained.

    Raises:
        ConfigError: its tokenizer differs from the policy's, or its context is shorter.
    """
    where, fix = f"reward.checkpoint={trained.source}", "set objective.value_from=policy, or choose another reward model"
    if trained.tokenizer.fingerprint != tokenizer.fingerprint:
        raise ConfigError(f"{where}: its tokenizer differs from the policy's, so the value network cannot start from it; {fix}")
    if trained.model.context < context:
        raise ConfigError(f"{where}: its context of {trained.model.context} is shorter than model.context={context}; {fix}")
    head, bias = trained.objective.head, trained.objective.bias
    assert isinstance(head, nn.Linear)
    assert isinstance(bias, Tensor)
    head = copy.deepcopy(head).requires_grad_(True)
    with torch.no_grad():
        head.bias.sub_(bias)
    model = copy.deepcopy(trained.model).requires_grad_(True)
    if adapter is not None:
        add_adapter(model, adapter.settings, seed=adapter.seed)
    return ValueNetwork(model, head)


@torch.no_grad()
def _hidden_states(model: Model) -> Tensor:
    """Return the hidden states (1, 1, D) of a sequence of one token."""
    device = next(model.parameters()).device
    hidden: Tensor = model(torch.zeros(1, 1, dtype=torch.int64, device=device))
    return hidden
