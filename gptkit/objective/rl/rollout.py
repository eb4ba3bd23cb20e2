"""Episodes: prompts with the responses that a policy drew, as rows of tokens, and what models think of them.

Shapes: B episodes, T tokens of the longest row, R of the longest response, N tokens of all responses together, D width,
V vocabulary. A row is a prompt, directly behind it its response, and padding on the right, which a causal model never sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from gptkit.data.dataset import Batch
from gptkit.data.padding import pad_sequences, sequence_lengths
from gptkit.model.base import Model
from gptkit.objective.precision import in_full
from gptkit.objective.rl.advantages import response_mask
from gptkit.objective.rl.policy_loss import entropies

READ_TOGETHER = 16_384
"""Tokens of one forward pass over episodes, padding included."""


def episodes(prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], device: torch.device) -> Batch:
    """Rows of ids as a batch: `tokens` (B, T), `prompt_lengths` (B,) and `lengths` (B,), tokens of each response; int64."""
    rows = [[*prompt, *response] for prompt, response in zip(prompts, responses, strict=True)]
    made = {
        "tokens": pad_sequences(rows),
        "prompt_lengths": sequence_lengths(prompts),
        "lengths": sequence_lengths(responses),
    }
    return {name: tensor.to(device) for name, tensor in made.items()}


def spots(batch: Batch) -> tuple[Tensor, Tensor]:
    """(N,) row and (N,) place in it of every token of the responses, row by row."""
    rows, columns = response_mask(batch["lengths"], int(batch["lengths"].max())).nonzero(as_tuple=True)
    return rows, batch["prompt_lengths"][rows] + columns


def states(model: Model, batch: Batch) -> Tensor:
    """(N, D) hidden states from which the tokens of the responses were chosen: each one place before its token."""
    rows, places = spots(batch)
    hidden: Tensor = model(batch["tokens"])[rows, places - 1]
    return hidden


def log_probabilities(model: Model, batch: Batch, temperature: float) -> tuple[Tensor, Tensor]:
    """(N,) log-probabilities of the tokens of the responses, and (N,) entropies of the distributions they were drawn from.

    Both in at least float32, with logits divided by the temperature; no other place gets logits.
    """
    rows, places = spots(batch)
    everything = (in_full(model.logits(states(model, batch))) / temperature).log_softmax(dim=-1)  # (N, V)
    chosen = batch["tokens"][rows, places]
    return everything.gather(-1, chosen[:, None]).squeeze(-1), entropies(everything)


def spread(values: Tensor, lengths: Tensor, width: int) -> Tensor:
    """(N,) -> (B, R): each response in its row, 0 behind it."""
    mask = response_mask(lengths, width)
    return torch.zeros(mask.shape, dtype=values.dtype, device=values.device).masked_scatter(mask, values)


def gathered(values: Tensor, lengths: Tensor) -> Tensor:
    """(B, R) -> (N,): the inverse of `spread`."""
    return values[response_mask(lengths, values.shape[1])]


def rows_of(batch: Batch, chosen: Sequence[int] | slice | Tensor) -> Batch:
    """Some rows of a batch."""
    return {name: tensor[chosen] for name, tensor in batch.items()}


def pieces(batch: Batch) -> Iterator[Batch]:
    """The batch in pieces that one forward pass can take, in order."""
    size = max(1, READ_TOGETHER // batch["tokens"].shape[1])
    for first in range(0, len(batch["tokens"]), size):
        yield rows_of(batch, slice(first, first + size))


@torch.no_grad()
def measured(batch: Batch, measure: Callable[[Batch], Tensor], width: int) -> Tensor:
    """What a function of episodes says of every token of their responses, (B, R), a piece at a time, without gradients."""
    return torch.cat([spread(measure(piece), piece["lengths"], width) for piece in pieces(batch)])
