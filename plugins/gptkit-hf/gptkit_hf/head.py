"""From hidden states to logits by a model's own last lines: its output matrix, and whatever scaling or capping it does besides."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast


class Given(nn.Module):
    """Stands where a language model has its body, and gives back the hidden states that it is given."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self._body = (body,)  # in a tuple, so that it is no module of this one

    def __getattr__(self, name: str) -> Any:
        """What else a model's last lines read of its body, such as a scale of its logits."""
        return getattr(self.__dict__["_body"][0], name)

    def forward(self, *args: Any, inputs_embeds: Tensor, **kwargs: Any) -> BaseModelOutputWithPast:
        return _Output(last_hidden_state=inputs_embeds)

    @property
    def decoder(self) -> Given:
        """Some models reach into their body for it."""
        return self


class _Output(BaseModelOutputWithPast):
    """What a body returns; what else one may return (`router_logits`, ...) is None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(name)


class Head:
    """The language model around another body: the same modules and settings, nothing copied, nothing registered twice."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = copy.copy(model)
        body = getattr(model, model.base_model_prefix)
        self.model.__dict__["_modules"] = {**model._modules, model.base_model_prefix: Given(body)}

    def __call__(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., rows of the output matrix)."""
        flat = hidden if hidden.dim() == 3 else hidden.reshape(1, -1, hidden.shape[-1])
        logits: Tensor = self.model(inputs_embeds=flat, use_cache=False).logits
        return logits if hidden.dim() == 3 else logits.reshape(*hidden.shape[:-1], logits.shape[-1])
