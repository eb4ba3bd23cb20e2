"""Generation of responses as token ids, for rollouts and evaluations."""

from __future__ import annotations

from collections.abc import Sequence

from gptkit.generation.continuous_batch import ContinuousBatch, TokenSequence
from gptkit.generation.sampling import sequence_uniforms
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
    end: int | None = None,
) -> list[list[int]]:
    """Sample `samples` responses to every prompt from the full distribution. Responses to the same prompt are adjacent.

    Args:
        model: the model that generates.
        tokenizer: only its ids are sampled.
        prompts: token ids, at least one each.
        items: one number per prompt, which determines the random numbers together with `seed` and the number of the sample.
        max_new_tokens: maximum length of a response.
        temperature: divides the logits; 0 is greedy.
        samples: number of responses to each prompt.
        seed: seed of the random numbers.
        end: the token that ends a response, and is then its last id; None: end-of-text.

    Raises:
        ValueError: a prompt leaves no room for `max_new_tokens`.
    """
    longest = max((len(prompt) for prompt in prompts), default=0)
    if longest + max_new_tokens > model.context:
        raise ValueError(f"a prompt of {longest} tokens and {max_new_tokens} new ones exceed the context of {model.context}")
    sequences = [
        TokenSequence(prompt, sequence_uniforms(seed, item, sample, max_new_tokens), temperature)
        for item, prompt in zip(items, prompts, strict=True)
        for sample in range(samples)
    ]
    if not sequences:
        return []
    batch = ContinuousBatch(model, vocabulary=tokenizer.size, rows=MAX_BATCH_ROWS, length=longest + max_new_tokens)
    batch.add(sequences)
    end_id = tokenizer.special["end_of_text"] if end is None else end
    try:
        while not batch.is_empty:
            for sequence in batch.step():
                if sequence.tokens[-1] == end_id:
                    batch.end(sequence)
    finally:
        batch.close()
    return [sequence.tokens for sequence in sequences]


def response_text(tokenizer: Tokenizer, prompt: Sequence[int], response: Sequence[int], *, end: int | None = None) -> str:
    """Return the text of a response after its prompt, without the token that ends it: `end`, or else end-of-text."""
    stream = TextStream(tokenizer, prompt)
    has_ended = bool(response) and response[-1] == (tokenizer.special["end_of_text"] if end is None else end)
    return stream.push(response[:-1] if has_ended else response) + stream.finish()
