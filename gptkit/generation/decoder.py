"""The tensors of a batch that is being decoded: a cache, and what each row reads next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from gptkit.model.built import BuiltModel


class Decoder:
    """Logits of the next token, one call after the other. Shapes: B rows, T time, D width, V vocabulary.

    The model runs without dropout and without gradients, and is left in the mode in which it was found.
    """

    def __init__(self, model: BuiltModel, prompts: Sequence[Sequence[int]], copies: Sequence[int], *, length: int) -> None:
        """Read the prompts, each once.

        Args:
            prompts: token ids, of any lengths of at least 1.
            copies: how many rows continue each prompt.
            length: tokens of the longest row at its end.
        """
        self.model = model
        self.device = next(model.parameters()).device
        longest = max(len(prompt) for prompt in prompts)
        tokens = torch.zeros(len(prompts), longest, dtype=torch.int64)  # (B, T), padded on the right
        for row, prompt in enumerate(prompts):
            tokens[row, : len(prompt)] = torch.tensor(prompt)
        counts = torch.tensor([len(prompt) for prompt in prompts])
        with evaluating(model):
            self.cache = model.cache(len(prompts), length)
            self.cache.receive(counts)
            hidden = run(model, tokens.to(self.device), self.cache)  # (B, T, D)
            last = hidden[torch.arange(len(prompts), device=self.device), counts.to(self.device) - 1]  # (B, D)
            self.logits = model.logits(last)
            """(B, V) for the token that comes next in each row."""
            if any(count != 1 for count in copies):
                self.select([row for row, count in enumerate(copies) for _ in range(count)])

    def feed(self, tokens: Tensor) -> None:
        """Read one more token in each row: (B,) int64 on the model's device."""
        with evaluating(self.model):
            self.logits = self.model.logits(run(self.model, tokens.unsqueeze(1), self.cache)[:, 0])

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order, repeats allowed."""
        with evaluating(self.model):
            index = torch.tensor(rows, device=self.device)
            self.cache.select(index)
            self.logits = self.logits[index]

    def close(self) -> None:
        """Give back what decoding keeps: weights that a sharded model gathers for its forward pass stay gathered until then."""
        for module in self.model.modules():
            reshard = getattr(module, "reshard", None)  # of this module's own weights, not of those within
            if reshard is not None:
                reshard()


def run(model: BuiltModel, tokens: Tensor, cache: object) -> Tensor:
    """The model's forward pass, not compiled even where the model is: every length would be compiled anew."""
    return model._call_impl(tokens, cache=cache)  # type: ignore[no-untyped-call, no-any-return]


@contextmanager
def evaluating(model: BuiltModel) -> Iterator[None]:
    """No dropout, no gradients. Sharded weights do not survive inference mode (the gathered copies are used by training again)."""
    training = model.training
    sharded = training and any(hasattr(parameter, "placements") for parameter in model.parameters())  # DTensor
    if training:
        model.eval()
    try:
        with torch.no_grad() if sharded else torch.inference_mode():
            yield
    finally:
        if training:
            model.train()
