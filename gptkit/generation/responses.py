"""Responses as token ids, for whoever goes on computing with them: the same loop as for texts, without any text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gptkit.generation.decoding_loop import Sequences
from gptkit.generation.sampling import uniforms
from gptkit.generation.text_stream import TextStream
from gptkit.model.base import Model
from gptkit.tokenizer.base import Tokenizer

TOGETHER = 128
"""Rows decoded at once: more are hardly faster on any device, and their caches need memory."""


def longest_response(wanted: int, context: int) -> int:
    """Tokens that a response may have: as many as are wanted, but half the context is the prompt's."""
    return min(wanted, max(1, context // 2))


def respond(
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
    """Draw `samples` responses to every prompt, those of one prompt next to each other, from the model's whole distribution.

    Args:
        tokenizer: whose ids are drawn. Its end-of-text ends a response, and where it came it is the last id of the response.
        prompts: token ids, at least one each.
        items: of every prompt, the number that decides with `seed` and the sample what is drawn: nothing else does.
        max_new_tokens: longest response.
        temperature: divides the logits; 0 is greedy.
        samples: responses to each prompt.
        seed: of the run and the step.

    Raises:
        ValueError: a prompt leaves no room for the longest response.
    """
    longest = max((len(prompt) for prompt in prompts), default=0)
    if longest + max_new_tokens > model.context:
        raise ValueError(f"a prompt of {longest} tokens and {max_new_tokens} new ones exceed the context of {model.context}")
    rows = [(place, sample) for place in range(len(prompts)) for sample in range(samples)]
    found: list[list[int]] = []
    for first in range(0, len(rows), TOGETHER):
        part = rows[first : first + TOGETHER]
        places = list(dict.fromkeys(place for place, _ in part))
        counts = dict.fromkeys(places, 0)
        for place, _ in part:
            counts[place] += 1
        sequences = Sequences(
            model,
            [prompts[place] for place in places],
            list(counts.values()),
            draws(seed, [(items[place], sample) for place, sample in part], max_new_tokens),
            vocabulary=tokenizer.size,
            length=longest + max_new_tokens,
            temperature=temperature,
        )
        try:
            found += _until_all_end(sequences, len(part), tokenizer.special["end_of_text"], max_new_tokens)
        finally:
            sequences.close()
    return found


def text_of(tokenizer: Tokenizer, prompt: Sequence[int], response: Sequence[int]) -> str:
    """What a response says, behind its prompt, without the end-of-text that ends it."""
    stream = TextStream(tokenizer, prompt)
    ended = bool(response) and response[-1] == tokenizer.special["end_of_text"]
    return stream.push(response[:-1] if ended else response) + stream.finish()


def draws(seed: int, numbers: Sequence[tuple[int, int]], count: int) -> Tensor:
    """(B, count) float64 in [0, 1): the random numbers of B rows, given the item and the sample of each."""
    made = torch.empty(len(numbers), count, dtype=torch.float64)
    for row, (item, sample) in enumerate(numbers):
        made[row] = torch.from_numpy(uniforms(seed, item, sample, count))
    return made


def _until_all_end(sequences: Sequences, rows: int, end_of_text: int, steps: int) -> list[list[int]]:
    drawn = torch.zeros(rows, steps, dtype=torch.int64)
    lengths = torch.zeros(rows, dtype=torch.int64)
    alive = torch.arange(rows)
    for step in range(steps):
        tokens = sequences.draw().cpu()
        drawn[alive, step] = tokens
        lengths[alive] = step + 1
        keep = (tokens != end_of_text).nonzero().squeeze(-1)
        if step + 1 == steps or not len(keep):
            break
        alive = alive[keep]
        sequences.go_on(keep.tolist())
    return [row[:length] for row, length in zip(drawn.tolist(), lengths.tolist(), strict=True)]
