"""Generation of responses as token ids, for rollouts and evaluations."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gptkit.generation.decoding_loop import DecodingBatch
from gptkit.generation.sampling import uniforms
from gptkit.generation.text_stream import TextStream
from gptkit.model.base import Model
from gptkit.tokenizer.base import Tokenizer

MAX_BATCH_ROWS = 128
"""Maximum number of rows that are decoded together. More rows are hardly faster on any device, and their caches need memory."""


def response_limit(max_new_tokens: int, context: int) -> int:
    """Return the maximum length of a response: `max_new_tokens`, but at most half of the context."""
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
    """Sample `samples` responses to every prompt from the full distribution. Responses to the same prompt are adjacent.

    Args:
        model: the model that generates.
        tokenizer: only its ids are sampled. End-of-text ends a response, and is its last id.
        prompts: token ids, at least one each.
        items: one number per prompt, which determines the random numbers together with `seed` and the number of the sample.
        max_new_tokens: maximum length of a response.
        temperature: divides the logits; 0 is greedy.
        samples: number of responses to each prompt.
        seed: seed of the random numbers.

    Raises:
        ValueError: a prompt leaves no room for `max_new_tokens`.
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
    """Return the text of a response after its prompt, without end-of-text."""
    stream = TextStream(tokenizer, prompt)
    has_ended = bool(response) and response[-1] == tokenizer.special["end_of_text"]
    return stream.push(response[:-1] if has_ended else response) + stream.finish()


def _decode_all(batch: DecodingBatch, rows: int, end_of_text: int, steps: int) -> list[list[int]]:
    ids = torch.zeros(rows, steps, dtype=torch.int64)
    lengths = torch.zeros(rows, dtype=torch.int64)
    active = torch.arange(rows)
    for step in range(steps):
        tokens = batch.draw().cpu()
        ids[active, step] = tokens
        lengths[active] = step + 1
        keep = (tokens != end_of_text).nonzero().squeeze(-1)
        if step + 1 == steps or not len(keep):
            break
        active = active[keep]
        batch.advance(keep.tolist())
    return [row[:length] for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)]
