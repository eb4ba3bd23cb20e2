"""Compute logits from hidden states with the model's own code: its output matrix, and any scaling or soft capping of logits."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast


class IdentityBody(nn.Module):
    """Replaces the body of a language model. Returns the hidden states that it receives as `inputs_embeds`."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self._body = (body,)  # in a tuple, so that it is not registered as a submodule

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the body, such as the scale of the logits, which some models read."""
        return getattr(self.__dict__["_body"][0], name)

    def forward(self, *args: Any, inputs_embeds: Tensor, **kwargs: Any) -> BaseModelOutputWithPast:
        return _Output(last_hidden_state=inputs_embeds)

    @property
    def decoder(self) -> IdentityBody:
        """The module itself. Some models call the decoder of their body."""
        return self


class _Output(BaseModelOutputWithPast):
    """The output of a body. Further attributes (`router_logits`, ...) are None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(name)


class Head:
    """A shallow copy of a language model whose body is an identity. Parameters are shared and not registered twice."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = copy.copy(model)
        body = getattr(model, model.base_model_prefix)
        self.model.__dict__["_modules"] = {**model._modules, model.base_model_prefix: IdentityBody(body)}

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return the logits: (..., D) -> (..., rows of the output matrix)."""
        flat = hidden if hidden.dim() == 3 else hidden.reshape(1, -1, hidden.shape[-1])
        logits: Tensor = self.model(inputs_embeds=flat, use_cache=False).logits
        return logits if hidden.dim() == 3 else logits.reshape(*hidden.shape[:-1], logits.shape[-1])
