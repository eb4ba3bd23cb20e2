"""Generate responses as token ids, for rollouts and evaluations that compute with them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gptkit.generation.decoding_loop import DecodingBatch
from gptkit.generation.sampling import uniforms
from gptkit.generation.text_stream import TextStream
from gptkit.model.base import Model
from gptkit.tokenizer.base import Tokenizer

MAX_BATCH_ROWS = 128
"""Rows decoded at once: more are hardly faster on any device, and their caches need memory."""


def response_limit(max_new_tokens: int, context: int) -> int:
    """The most tokens that a response can have: `max_new_tokens`, but at least half of the context stays for the prompt."""
    return min(max_new_tokens, max(1, context // 2))


def generate_responses(
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[Sequence[int]],
    *,
    items: Sequence[int],
    max_new_tokens: int,
    temperature: float = 1.0,
    samples: int = 1,
    seed: int = 0,
) -> list[list[int]]:
    """Sample `samples` responses to every prompt from the whole distribution; those of one prompt are adjacent.

    Args:
        tokenizer: its ids are drawn. End-of-text ends a response and is then its last id.
        prompts: token ids, at least one each.
        items: one number per prompt. With `seed` and the number of the sample it alone determines the random numbers.
        max_new_tokens: longest response.
        temperature: divides the logits; 0 is greedy.
        samples: responses to each prompt.
        seed: of this run and step.

    Raises:
        ValueError: a prompt leaves no room for the longest response.
    """
    longest = max((len(prompt) for prompt in prompts), default=0)
    if longest + max_new_tokens > model.context:
        raise ValueError(f"a prompt of {longest} tokens and {max_new_tokens} new ones exceed the context of {model.context}")
    rows = [(prompt, sample) for prompt in range(len(prompts)) for sample in range(samples)]
    responses: list[list[int]] = []
    for first in range(0, len(rows), MAX_BATCH_ROWS):
        part = rows[first : first + MAX_BATCH_ROWS]
        indices = list(dict.fromkeys(index for index, _ in part))
        counts = dict.fromkeys(indices, 0)
        for index, _ in part:
            counts[index] += 1
        batch = DecodingBatch(
            model,
            [prompts[index] for index in indices],
            list(counts.values()),
            uniforms(seed, [(items[index], sample) for index, sample in part], max_new_tokens),
            vocabulary=tokenizer.size,
            length=longest + max_new_tokens,
            temperature=temperature,
        )
        try:
            responses += _decode_all(batch, len(part), tokenizer.special["end_of_text"], max_new_tokens)
        finally:
            batch.close()
    return responses


def response_text(tokenizer: Tokenizer, prompt: Sequence[int], response: Sequence[int]) -> str:
    """The text of a response that follows its prompt, without the end-of-text that ends it."""
    stream = TextStream(tokenizer, prompt)
    ended = bool(response) and response[-1] == tokenizer.special["end_of_text"]
    return stream.push(response[:-1] if ended else response) + stream.finish()


def _decode_all(batch: DecodingBatch, rows: int, end_of_text: int, steps: int) -> list[list[int]]:
    ids = torch.zeros(rows, steps, dtype=torch.int64)
    lengths = torch.zeros(rows, dtype=torch.int64)
    alive = torch.arange(rows)
    for step in range(steps):
        tokens = batch.draw().cpu()
        ids[alive, step] = tokens
        lengths[alive] = step + 1
        keep = (tokens != end_of_text).nonzero().squeeze(-1)
        if step + 1 == steps or not len(keep):
            break
        alive = alive[keep]
        batch.advance(keep.tolist())
    return [row[:length] for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)]
