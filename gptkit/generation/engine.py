"""The generation engine: batches prompts, and returns their continuations as whole texts or as a stream.

Prompts of different lengths share a batch, samples of the same prompt share its prefill, and sequences that have ended leave the
batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gptkit.errors import ConfigError, DataError
from gptkit.generation.decoding_loop import DecodingBatch
from gptkit.generation.sampling import SamplingParams, uniforms
from gptkit.generation.text_stream import TextStream
from gptkit.model.base import Model
from gptkit.tokenizer.base import Tokenizer


@dataclass(frozen=True)
class Continuation:
    """The text that a model generated after a prompt."""

    prompt: str
    text: str
    """Without end-of-text and without the stop string that ended it."""
    tokens: list[int]
    """All generated ids, including those of the stop string, but without end-of-text."""
    finish_reason: str
    """end_of_text, stop, length (max_new_tokens) or context (prompt and text fill the model's context)."""


@dataclass(frozen=True)
class TextChunk:
    """The next characters of a continuation. The last chunk contains the whole continuation."""

    prompt: int
    sample: int
    text: str
    finished: Continuation | None = None


def generate(
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 100,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    stop: Sequence[str] = (),
    overflow: str = "stop",
    samples: int = 1,
    batch: int = 16,
    seed: int = 0,
) -> list[list[Continuation]]:
    """Continue every prompt `samples` times, and return one list per prompt. Available as `gptkit.generate`.

    Args:
        model: as returned by `gptkit.load`, possibly moved to another device or dtype.
        tokenizer: the tokenizer of the model.
        prompts: texts to continue. An empty prompt starts a new text.
        max_new_tokens: maximum number of tokens of a continuation.
        temperature: 0 is greedy.
        top_k: sample from the k most probable tokens; 0: from all.
        top_p: sample from the most probable tokens that together have this probability.
        stop: end a continuation before any of these strings.
        overflow: when prompt and text fill the context, `stop` ends the continuation, and `slide` reads the last half of the
            context again as if the text began there (nanoGPT crops at every token instead, and reads the whole context each time).
        samples: number of continuations of each prompt.
        batch: number of sequences that are decoded together. On a CPU, the texts do not depend on it; on a GPU, rounding may.
        seed: the same seed gives the same texts with the same weights, machine and number of threads. The global random number
            generators are not used.

    Raises:
        ConfigError: an argument is invalid.
        DataError: a prompt is longer than the model's context, and `overflow` is `stop`.
    """
    params = SamplingParams(
        max_new_tokens, temperature, top_k, top_p, stop if isinstance(stop, str) else tuple(stop), seed, _slides(overflow)
    )
    continuations: dict[tuple[int, int], Continuation] = {}  # in order of completion
    for chunk in _decode(model, tokenizer, prompts, params, samples=samples, batch=batch, live=False):
        if chunk.finished is not None:
            continuations[chunk.prompt, chunk.sample] = chunk.finished
    return [[continuations[prompt, sample] for sample in range(samples)] for prompt in range(len(prompts))]


def stream(
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 100,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    stop: Sequence[str] = (),
    overflow: str = "stop",
    samples: int = 1,
    batch: int = 16,
    seed: int = 0,
) -> Iterator[TextChunk]:
    """Yield the texts of `generate` chunk by chunk. Chunks of sequences that share a batch are interleaved."""
    params = SamplingParams(
        max_new_tokens, temperature, top_k, top_p, stop if isinstance(stop, str) else tuple(stop), seed, _slides(overflow)
    )
    return _decode(model, tokenizer, prompts, params, samples=samples, batch=batch, live=True)


def _slides(overflow: str) -> bool:
    """Raises: ConfigError: `overflow` is neither stop nor slide."""
    if overflow not in ("stop", "slide"):
        raise ConfigError(f"overflow={overflow!r} must be stop or slide")
    return overflow == "slide"


def _decode(
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    params: SamplingParams,
    *,
    samples: int,
    batch: int,
    live: bool,
) -> Iterator[TextChunk]:
    if isinstance(prompts, str):
        raise ConfigError("prompts must be a list of texts; for a single text use [prompt]")
    if samples < 1 or batch < 1:
        raise ConfigError(f"samples={samples} and batch={batch} must be at least 1")
    context = None if params.slides else model.context
    encoded = [encode_prompt(tokenizer, prompt, context=context, index=index) for index, prompt in enumerate(prompts)]
    rows = [
        _Row(tokenizer, prompt, encoded[index], (index, sample), params, context=model.context, live=live)
        for index, prompt in enumerate(prompts)
        for sample in range(samples)
    ]
    yield from _decode_rows(model, tokenizer, rows, params, batch=batch)


def continue_token_ids(
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[Sequence[int]],
    params: SamplingParams,
    *,
    items: Sequence[int],
    batch: int = 16,
) -> list[Continuation]:
    """Continue prompts of token ids, once each. The `prompt` of a continuation is empty.

    Args:
        prompts: token ids, between one and the model's context.
        items: one distinct number per prompt, which determines its random numbers together with the seed.
    """
    rows = [
        _Row(tokenizer, "", list(prompt), (item, 0), params, context=model.context, live=False)
        for item, prompt in zip(items, prompts, strict=True)
    ]
    chunks = _decode_rows(model, tokenizer, rows, params, batch=batch)
    finished = {chunk.prompt: chunk.finished for chunk in chunks if chunk.finished is not None}
    return [finished[item] for item in items]


def _decode_rows(
    model: Model, tokenizer: Tokenizer, rows: list[_Row], params: SamplingParams, *, batch: int
) -> Iterator[TextChunk]:
    for first in range(0, len(rows), batch):
        part = rows[first : first + batch]
        yield from (row.finish(row.full) for row in part if not row.limit)
        active = [row for row in part if row.limit]
        while active:
            yield from _decode_together(model, tokenizer, active, params)
            active = [row for row in active if row.is_overflowing]


def encode_prompt(tokenizer: Tokenizer, prompt: str, *, context: int | None, index: int = 0) -> list[int]:
    """Return the token ids of a prompt. An empty prompt becomes end-of-text, after which texts start.

    Raises:
        DataError: `context` is not None, and the prompt is longer.
    """
    ids = tokenizer.encode(prompt) or [tokenizer.special["end_of_text"]]
    if context is not None and len(ids) > context:
        raise DataError(
            f"prompt {index + 1} has {len(ids)} tokens, more than the model's context of {context}; "
            "shorten it, or set overflow=slide to read only its end"
        )
    return ids


def _decode_together(model: Model, tokenizer: Tokenizer, rows: list[_Row], params: SamplingParams) -> Iterator[TextChunk]:
    """Decode rows until each of them has ended or filled its context."""
    groups = [list(group) for _, group in itertools.groupby(rows, key=lambda row: (row.key[0], row.window()))]
    batch = DecodingBatch(
        model,
        [group[0].window() for group in groups],
        [len(group) for group in groups],
        _remaining_uniforms(params.seed, rows),
        vocabulary=tokenizer.size,
        length=max(len(row.window()) + row.steps() for row in rows),
        temperature=params.temperature,
        top_k=params.top_k,
        top_p=params.top_p,
    )
    try:
        yield from _run_batch(batch, tokenizer.special["end_of_text"], rows)
    finally:
        batch.close()


def _remaining_uniforms(seed: int, rows: list[_Row]) -> Tensor:
    """Return the random numbers of every row for its remaining tokens, (B, steps)."""
    numbers = uniforms(seed, [row.key for row in rows], max(len(row.ids) + row.steps() for row in rows))
    steps = max(row.steps() for row in rows)
    return torch.stack(
        [F.pad(row_uniforms[len(row.ids) :][:steps], (0, steps))[:steps] for row, row_uniforms in zip(rows, numbers, strict=True)]
    )


def _run_batch(batch: DecodingBatch, end_of_text: int, rows: list[_Row]) -> Iterator[TextChunk]:
    full_at = [len(row.ids) + row.steps() for row in rows]
    for row in rows:
        row.is_overflowing = False
    while True:
        keep: list[int] = []
        for index, (row, token) in enumerate(zip(rows, batch.draw().tolist(), strict=True)):
            if token == end_of_text:
                yield row.finish("end_of_text")
                continue
            text = row.add(token)
            if row.text.stopped:
                yield row.finish("stop", text)
            elif len(row.ids) == row.limit:
                yield row.finish(row.full, text)
            else:
                row.is_overflowing = len(row.ids) == full_at[index]
                if not row.is_overflowing:
                    keep.append(index)
                if text:
                    yield row.chunk(text)
        if not keep:
            return
        rows, full_at = [rows[index] for index in keep], [full_at[index] for index in keep]
        batch.advance(keep)


class _Row:
    """One continuation that is being decoded."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt: str,
        prompt_ids: list[int],
        key: tuple[int, int],
        params: SamplingParams,
        *,
        context: int,
        live: bool,
    ) -> None:
        self.prompt = prompt
        self.prompt_ids = prompt_ids
        self.key = key  # index of the prompt, index of the sample
        self.context = context
        room = params.max_new_tokens if params.slides else context - len(prompt_ids)
        self.limit = min(params.max_new_tokens, room)
        self.full = "length" if params.max_new_tokens <= room else "context"
        self.ids: list[int] = []
        self.is_overflowing = False
        """Whether the context is full and the continuation has not ended."""
        self.text = TextStream(tokenizer, prompt_ids, params.stop)
        self.decodes_live = live or bool(params.stop)  # otherwise all ids are decoded at the end
        self.chunks: list[str] = []

    def window(self) -> list[int]:
        """Return the ids to read before the next token: prompt and text, or their last part if they fill the context."""
        ids = self.prompt_ids + self.ids
        return ids if len(ids) < self.context else ids[-max(1, self.context // 2) :]

    def steps(self) -> int:
        """Return the number of tokens that can be sampled before the context is full or the limit is reached."""
        return min(self.limit - len(self.ids), self.context - len(self.window()))

    def add(self, token: int) -> str:
        """Append a token, and return the text that is now final."""
        self.ids.append(token)
        return self.text.push([token]) if self.decodes_live else ""

    def chunk(self, text: str) -> TextChunk:
        self.chunks.append(text)
        return TextChunk(*self.key, text)

    def finish(self, reason: str, last: str = "") -> TextChunk:
        last += ("" if self.decodes_live else self.text.push(self.ids)) + self.text.finish()
        return TextChunk(*self.key, last, Continuation(self.prompt, "".join(self.chunks) + last, self.ids, reason))
