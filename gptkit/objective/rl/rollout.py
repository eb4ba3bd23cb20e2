"""Rollouts: prompts with sampled responses as a batch of tokens, and hidden states and log-probabilities of the responses.

Shapes: B responses, T tokens of the longest row, R of the longest response, N tokens of all responses together, D width,
V vocabulary. A row is a prompt, its response, and padding on the right, which causal attention hides.

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
from gptkit.generation.responses import response_text
from gptkit.model.base import Model
from gptkit.objective.log_probs import all_log_probs, select_tokens
from gptkit.objective.rl.advantages import response_mask
from gptkit.objective.rl.policy_loss import entropies
from gptkit.objective.rl.prompt_dataset import PromptDataset
from gptkit.records import Prompt
from gptkit.tokenizer.base import Tokenizer

TOKENS_PER_PASS = 16_384
"""Maximum number of tokens of a forward pass over rollouts, including padding."""


@dataclass
class Rollout:
    """Sampled responses to prompts. Tensors are on the model's device."""

    prompts: list[Prompt]
    """The prompt of each of B responses."""
    texts: list[str]
    """The responses."""
    batch: Batch
    """Prompts and responses as tokens, with the columns that the module describes."""
    ended: Tensor
    """(B,) bool: whether the response ends with the token that ends one."""


def make_rollout(
    tokenizer: Tokenizer,
    dataset: PromptDataset,
    rows: Sequence[int],
    responses: Sequence[Sequence[int]],
    end: int,
    device: torch.device,
) -> Rollout:
    """Build a rollout from sampled responses.

    Args:
        tokenizer: decodes the responses.
        dataset: the prompts.
        rows: B indices of the prompts in the dataset, one per response.
        responses: B sequences of token ids.
        end: the token that ends a response.
        device: device of the tensors.
    """
    prompt_ids = [dataset.ids[index] for index in rows]
    return Rollout(
        prompts=[dataset.prompts[index] for index in rows],
        texts=[response_text(tokenizer, ids, response, end=end) for ids, response in zip(prompt_ids, responses, strict=True)],
        batch=make_rollout_batch(prompt_ids, responses, device),
        ended=torch.tensor([response[-1] == end for response in responses], device=device),
    )


def make_rollout_batch(prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], device: torch.device) -> Batch:
    """Concatenate prompts and responses, and pad them to a batch with the columns `tokens`, `prompt_lengths` and `lengths`."""
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
    """Return a batch of `count` rows of zeros without padding, with additional columns, for passes whose result is not used."""
    tokens = torch.zeros(count, prompt_length + response_length, dtype=torch.int64, device=device)
    batch = {
        "tokens": tokens,
        "prompt_lengths": torch.full_like(tokens[:, 0], prompt_length),
        "lengths": torch.full_like(tokens[:, 0], response_length),
    }
    batch |= {name: torch.zeros(count, response_length, device=device) for name in token_columns}
    return batch | {name: torch.zeros(count, device=device) for name in row_columns}


def response_positions(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the row (N,) and the column (N,) in `tokens` of every token of the responses, row by row."""
    rows, columns = response_mask(batch["lengths"], int(batch["lengths"].max())).nonzero(as_tuple=True)
    return rows, batch["prompt_lengths"][rows] + columns


def response_hidden_states(model: Model, batch: Batch) -> Tensor:
    """Return the hidden states (N, D) that predict the tokens of the responses, from one position before each token."""
    rows, positions = response_positions(batch)
    hidden: Tensor = model(batch["tokens"])[rows, positions - 1]
    return hidden


def response_log_probs(model: Model, batch: Batch, temperature: float) -> tuple[Tensor, Tensor]:
    """Return log-probabilities (N,) of the tokens of the responses, and entropies (N,) of the distributions at their positions.

    Both are in at least float32, with logits divided by the temperature. Other positions get no logits.
    """
    rows, positions = response_positions(batch)
    log_probs = all_log_probs(model.logits(response_hidden_states(model, batch)), temperature=temperature)  # (N, V)
    return select_tokens(log_probs, batch["tokens"][rows, positions]), entropies(log_probs)


def pad_responses(values: Tensor, lengths: Tensor, width: int) -> Tensor:
    """Arrange values of tokens in one row per response, padded with 0: (N,) -> (B, R)."""
    mask = response_mask(lengths, width)
    return torch.zeros(mask.shape, dtype=values.dtype, device=values.device).masked_scatter(mask, values)


def unpad_responses(values: Tensor, lengths: Tensor) -> Tensor:
    """Invert `pad_responses`: (B, R) -> (N,)."""
    return values[response_mask(lengths, values.shape[1])]


def select_rows(batch: Batch, rows: Sequence[int] | slice | Tensor) -> Batch:
    """Select rows of all columns of the batch."""
    return {name: tensor[rows] for name, tensor in batch.items()}


def split_into_chunks(batch: Batch) -> Iterator[Batch]:
    """Split the batch into chunks that fit one forward pass, in order."""
    size = max(1, TOKENS_PER_PASS // batch["tokens"].shape[1])
    for first in range(0, len(batch["tokens"]), size):
        yield select_rows(batch, slice(first, first + size))


@torch.no_grad()
def compute_in_chunks(batch: Batch, function: Callable[[Batch], Tensor], width: int) -> Tensor:
    """Apply a function from batches to values of response tokens (N,) chunk by chunk, without gradients. Returns (B, R)."""
    return torch.cat([pad_responses(function(chunk), chunk["lengths"], width) for chunk in split_into_chunks(batch)])
