"""Batched decoding with a cache: prompts in, continuations out, whole or as they come.

Prompts of different lengths are read together, the samples of one prompt share that reading, and a sequence that ends
leaves the batch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gptkit.errors import ConfigError, DataError
from gptkit.generation.decoding_loop import Sequences
from gptkit.generation.responses import draws
from gptkit.generation.text_stream import TextStream
from gptkit.model.base import Model
from gptkit.tokenizer.base import Tokenizer


@dataclass(frozen=True)
class Continuation:
    """What a model wrote after a prompt."""

    prompt: str
    text: str
    """Without end-of-text, and without the stop string that ended it."""
    tokens: list[int]
    """All ids drawn, without end-of-text, those of the stop string included."""
    finish_reason: str
    """end_of_text, stop, length (max_new_tokens) or context (prompt and text fill the model's context)."""


@dataclass(frozen=True)
class Piece:
    """Some text of one continuation as it comes; the last of each carries the whole."""

    prompt: int
    sample: int
    text: str
    finished: Continuation | None = None


@dataclass(frozen=True)
class SamplingParams:
    """How tokens are chosen and when a text ends."""

    max_new_tokens: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    stop: Sequence[str] = ()
    seed: int = 0
    slides: bool = False
    """Go on past the context, reading the last part of the text again."""

    def __post_init__(self) -> None:
        """Raises: ConfigError: a value out of its range; the command line refuses the same."""
        checks = {
            "max_new_tokens": self.max_new_tokens >= 1,
            "temperature": 0 <= self.temperature < math.inf,
            "top_k": self.top_k >= 0,
            "top_p": 0 < self.top_p <= 1,
            "stop": not isinstance(self.stop, str) and all(self.stop),
        }
        for key, holds in checks.items():
            if not holds:
                value = getattr(self, key)
                raise ConfigError(f"{key}={value!r} cannot be used; see gptkit generate --help for what can")


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
    """Continue every prompt `samples` times: one list per prompt. `gptkit.generate` in Python, with `gptkit.load` for the model.

    Args:
        model: as `gptkit.load` gives it, or moved to another device or number format.
        tokenizer: that belongs to it.
        prompts: an empty one begins a text, behind end-of-text.
        max_new_tokens: longest continuation.
        temperature: 0 is greedy.
        top_k: draw from the k most probable tokens; 0: from all.
        top_p: draw from the most probable tokens that together have this probability.
        stop: end a continuation before any of these.
        overflow: where prompt and text fill the context: `stop`, or `slide`: the last half of a context is read again as if the
            text began there, and so on each time it is full (nanoGPT crops at every token, and reads all again each time).
        batch: sequences decoded at once; on the CPU the texts do not depend on it (on a GPU rounding may).
        seed: with the same weights, machine and number of threads the same seed gives the same texts; the random numbers of the
            program are not touched.

    Raises:
        ConfigError: an argument cannot be used.
        DataError: a prompt is longer than the model's context, and `overflow` is `stop`.
    """
    drawing = SamplingParams(
        max_new_tokens, temperature, top_k, top_p, stop if isinstance(stop, str) else tuple(stop), seed, _slides(overflow)
    )
    found: dict[tuple[int, int], Continuation] = {}  # in the order in which they end
    for piece in _decode(model, tokenizer, prompts, drawing, samples=samples, batch=batch, live=False):
        if piece.finished is not None:
            found[piece.prompt, piece.sample] = piece.finished
    return [[found[prompt, sample] for sample in range(samples)] for prompt in range(len(prompts))]


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
) -> Iterator[Piece]:
    """`generate`, piece by piece: the texts are the same. Pieces of sequences that share a batch alternate."""
    drawing = SamplingParams(
        max_new_tokens, temperature, top_k, top_p, stop if isinstance(stop, str) else tuple(stop), seed, _slides(overflow)
    )
    return _decode(model, tokenizer, prompts, drawing, samples=samples, batch=batch, live=True)


def _slides(overflow: str) -> bool:
    """Raises: ConfigError: it is neither word."""
    if overflow not in ("stop", "slide"):
        raise ConfigError(f"overflow={overflow!r} must be stop or slide")
    return overflow == "slide"


def _decode(
    model: Model,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    drawing: SamplingParams,
    *,
    samples: int,
    batch: int,
    live: bool,
) -> Iterator[Piece]:
    if isinstance(prompts, str):
        raise ConfigError("prompts must be a list of texts; for a single one write [prompt]")
    if samples < 1 or batch < 1:
        raise ConfigError(f"samples={samples} and batch={batch} must be at least 1")
    longest = None if drawing.slides else model.context
    read = [encode_prompt(tokenizer, prompt, context=longest, number=number) for number, prompt in enumerate(prompts)]
    rows = [
        _Row(tokenizer, prompt, read[number], (number, sample), drawing, context=model.context, live=live)
        for number, prompt in enumerate(prompts)
        for sample in range(samples)
    ]
    for first in range(0, len(rows), batch):
        part = rows[first : first + batch]
        yield from (row.finish(row.full) for row in part if not row.limit)
        going = [row for row in part if row.limit]
        while going:
            yield from _decode_together(model, tokenizer, going, drawing)
            going = [row for row in going if row.is_overflowing]


def encode_prompt(tokenizer: Tokenizer, prompt: str, *, context: int | None, number: int = 0) -> list[int]:
    """Ids of a prompt; an empty one is end-of-text, behind which texts begin.

    Raises:
        DataError: it is longer than the context; None: it may have any length.
    """
    ids = tokenizer.encode(prompt) or [tokenizer.special["end_of_text"]]
    if context is not None and len(ids) > context:
        raise DataError(
            f"prompt {number + 1} has {len(ids)} tokens, more than the model's context of {context}; "
            "shorten it, or let overflow=slide read its end"
        )
    return ids


def _decode_together(model: Model, tokenizer: Tokenizer, rows: list[_Row], drawing: SamplingParams) -> Iterator[Piece]:
    """Continue rows until each has ended, or has filled its context."""
    groups = [list(group) for _, group in itertools.groupby(rows, key=lambda row: (row.place[0], row.window()))]
    sequences = Sequences(
        model,
        [group[0].window() for group in groups],
        [len(group) for group in groups],
        _numbers(drawing.seed, rows),
        vocabulary=tokenizer.size,
        length=max(len(row.window()) + row.steps() for row in rows),
        temperature=drawing.temperature,
        top_k=drawing.top_k,
        top_p=drawing.top_p,
    )
    try:
        yield from _write(sequences, tokenizer.special["end_of_text"], rows)
    finally:
        sequences.close()


def _numbers(seed: int, rows: list[_Row]) -> Tensor:
    """(B, steps): what decides the tokens of every row from where it stands."""
    drawn = draws(seed, [row.place for row in rows], max(len(row.ids) + row.steps() for row in rows))
    steps = max(row.steps() for row in rows)
    return torch.stack(
        [F.pad(numbers[len(row.ids) :][:steps], (0, steps))[:steps] for row, numbers in zip(rows, drawn, strict=True)]
    )


def _write(sequences: Sequences, end_of_text: int, rows: list[_Row]) -> Iterator[Piece]:
    until = [len(row.ids) + row.steps() for row in rows]
    for row in rows:
        row.is_overflowing = False
    while True:
        keep: list[int] = []
        for index, (row, token) in enumerate(zip(rows, sequences.draw().tolist(), strict=True)):
            if token == end_of_text:
                yield row.finish("end_of_text")
                continue
            piece = row.add(token)
            if row.text.stopped:
                yield row.finish("stop", piece)
            elif len(row.ids) == row.limit:
                yield row.finish(row.full, piece)
            else:
                row.is_overflowing = len(row.ids) == until[index]
                if not row.is_overflowing:
                    keep.append(index)
                if piece:
                    yield row.piece(piece)
        if not keep:
            return
        rows, until = [rows[index] for index in keep], [until[index] for index in keep]
        sequences.go_on(keep)


class _Row:
    """One continuation in the making."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt: str,
        read: list[int],
        place: tuple[int, int],
        drawing: SamplingParams,
        *,
        context: int,
        live: bool,
    ) -> None:
        self.prompt = prompt
        self.read = read
        self.place = place  # index of the prompt, index of the sample
        self.context = context
        room = drawing.max_new_tokens if drawing.slides else context - len(read)
        self.limit = min(drawing.max_new_tokens, room)
        self.full = "length" if drawing.max_new_tokens <= room else "context"
        self.ids: list[int] = []
        self.is_overflowing = False
        """Its context is full, and it wants more."""
        self.text = TextStream(tokenizer, read, drawing.stop)
        self.watched = live or bool(drawing.stop)  # otherwise the text is made once, at the end
        self.pieces: list[str] = []

    def window(self) -> list[int]:
        """What is read before the next token is drawn: prompt and text, or their last part where they fill the context."""
        read = self.read + self.ids
        return read if len(read) < self.context else read[-max(1, self.context // 2) :]

    def steps(self) -> int:
        """Tokens that can be drawn behind the window before it is full: as many as are wanted, where these are fewer."""
        return min(self.limit - len(self.ids), self.context - len(self.window()))

    def add(self, token: int) -> str:
        """One more token; returns the text that is certain because of it."""
        self.ids.append(token)
        return self.text.push([token]) if self.watched else ""

    def piece(self, text: str) -> Piece:
        self.pieces.append(text)
        return Piece(*self.place, text)

    def finish(self, reason: str, last: str = "") -> Piece:
        last += ("" if self.watched else self.text.push(self.ids)) + self.text.finish()
        return Piece(*self.place, last, Continuation(self.prompt, "".join(self.pieces) + last, self.ids, reason))
