"""Rollouts: prompts with sampled responses as a batch of tokens, and hidden states and log-probabilities of the responses.

Shapes: B responses, T tokens of the longest row, R of the longest response, N tokens of all responses together, D width,
V vocabulary. A row is a prompt, its response, and padding on the right, which a causal model never sees.

Columns of a batch: `tokens` (B, T), `prompt_lengths` (B,) and `lengths` (B,), tokens of each response, all int64. An objective adds
token columns (B, R) that are 0 in the padding, such as `old_log_probs`, and row columns (B,), such as step metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gptkit.data.dataset import Batch
from gptkit.data.padding import pad_sequences, sequence_lengths
from gptkit.model.base import Model
from gptkit.objective.log_probs import all_log_probs, select_tokens
from gptkit.objective.rl.advantages import response_mask
from gptkit.objective.rl.policy_loss import entropies
from gptkit.records import Prompt

TOKENS_PER_PASS = 16_384
"""Tokens of one forward pass over rollouts, padding included."""


@dataclass
class Rollout:
    """Sampled responses to prompts. Tensors are on the model's device."""

    prompts: list[Prompt]
    """One for each of B responses."""
    texts: list[str]
    """The responses."""
    batch: Batch
    """Prompts and responses as tokens; see the columns above."""
    ended: Tensor
    """(B,) bool: whether the response ends with end-of-text."""


def make_rollout_batch(prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], device: torch.device) -> Batch:
    """Pad prompts with their responses to a batch of the columns `tokens`, `prompt_lengths` and `lengths`."""
    rows = [[*prompt, *response] for prompt, response in zip(prompts, responses, strict=True)]
    batch = {
        "tokens": pad_sequences(rows),
        "prompt_lengths": sequence_lengths(prompts),
        "lengths": sequence_lengths(responses),
    }
    return {name: tensor.to(device) for name, tensor in batch.items()}


def make_zero_batch(
    count: int,
    *,
    prompt_length: int,
    response_length: int,
    token_columns: Sequence[str] = (),
    row_columns: Sequence[str] = (),
    device: torch.device,
) -> Batch:
    """A batch of `count` rows without padding, all zeros, with these columns besides: for a pass whose result is not used."""
    tokens = torch.zeros(count, prompt_length + response_length, dtype=torch.int64, device=device)
    batch = {
        "tokens": tokens,
        "prompt_lengths": torch.full_like(tokens[:, 0], prompt_length),
        "lengths": torch.full_like(tokens[:, 0], response_length),
    }
    batch |= {name: torch.zeros(count, response_length, device=device) for name in token_columns}
    return batch | {name: torch.zeros(count, device=device) for name in row_columns}


def response_positions(batch: Batch) -> tuple[Tensor, Tensor]:
    """(N,) row and (N,) column in `tokens` of every token of the responses, row by row."""
    rows, columns = response_mask(batch["lengths"], int(batch["lengths"].max())).nonzero(as_tuple=True)
    return rows, batch["prompt_lengths"][rows] + columns


def response_hidden_states(model: Model, batch: Batch) -> Tensor:
    """(N, D) hidden states that predict the tokens of the responses: each is one position before its token."""
    rows, positions = response_positions(batch)
    hidden: Tensor = model(batch["tokens"])[rows, positions - 1]
    return hidden


def response_log_probs(model: Model, batch: Batch, temperature: float) -> tuple[Tensor, Tensor]:
    """(N,) log-probabilities of the responses' tokens, and (N,) entropies of the distributions they were sampled from.

    Both in at least float32, with logits divided by the temperature. No other position gets logits.
    """
    rows, positions = response_positions(batch)
    log_probs = all_log_probs(model.logits(response_hidden_states(model, batch)), temperature=temperature)  # (N, V)
    return select_tokens(log_probs, batch["tokens"][rows, positions]), entropies(log_probs)


def pad_responses(values: Tensor, lengths: Tensor, width: int) -> Tensor:
    """(N,) -> (B, R): each response in its own row, padded with 0."""
    mask = response_mask(lengths, width)
    return torch.zeros(mask.shape, dtype=values.dtype, device=values.device).masked_scatter(mask, values)


def unpad_responses(values: Tensor, lengths: Tensor) -> Tensor:
    """(B, R) -> (N,): the inverse of `pad_responses`."""
    return values[response_mask(lengths, values.shape[1])]


def select_rows(batch: Batch, rows: Sequence[int] | slice | Tensor) -> Batch:
    """The batch with these rows only."""
    return {name: tensor[rows] for name, tensor in batch.items()}


def split_into_chunks(batch: Batch) -> Iterator[Batch]:
    """Split the batch into chunks that fit one forward pass, in order."""
    size = max(1, TOKENS_PER_PASS // batch["tokens"].shape[1])
    for first in range(0, len(batch["tokens"]), size):
        yield select_rows(batch, slice(first, first + size))


@torch.no_grad()
def compute_in_chunks(batch: Batch, function: Callable[[Batch], Tensor], width: int) -> Tensor:
    """Apply a function that returns a value per token of the responses, (N,), to the batch chunk by chunk: (B, R). No gradients."""
    return torch.cat([pad_responses(function(chunk), chunk["lengths"], width) for chunk in split_into_chunks(batch)])
