"""One text that is being generated, and the chunks in which it is returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gptkit.generation.continuous_batch import TokenSequence
from gptkit.generation.sampling import SamplingParams, sequence_uniforms
from gptkit.generation.text_stream import TextStream
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


@dataclass(frozen=True)
class TokenLogProbs:
    """The log-probability of a token, and those of the most probable tokens in its place, in nats at temperature 1."""

    token: int
    log_prob: float
    top: tuple[tuple[int, float], ...] = ()
    """Token ids and log-probabilities, descending."""


class TextSequence:
    """A prompt and the text that follows it. `Engine` decodes it."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt_ids: Sequence[int],
        params: SamplingParams,
        *,
        context: int,
        key: tuple[int, int],
        prompt: str = "",
        live: bool = False,
        log_probs: int | None = None,
        end: int | None = None,
    ) -> None:
        """
        Args:
            prompt_ids: at least one token, at most `context` unless `params.slides`.
            context: the context of the model.
            key: the numbers of the prompt and of the sample, which determine the random numbers together with `params.seed`.
            prompt: the text of the prompt, for `Continuation.prompt`.
            live: return text as soon as it is final; otherwise the whole text at the end.
            log_probs: number of most probable tokens whose log-probabilities are recorded with each token; None: record nothing.
            end: another token than end-of-text that ends the text, such as the one that ends an answer.
        """
        self.key, self.params, self.prompt, self.end = key, params, prompt, end
        self.prompt_ids = list(prompt_ids)
        self.ids: list[int] = []
        """The generated ids, without end-of-text."""
        self.top_log_probs = log_probs
        self._sequence: TokenSequence | None = None
        self.log_probs: list[TokenLogProbs] = []
        """One entry per generated token, including end-of-text, if they are recorded."""
        self._context = context
        room = params.max_new_tokens if params.slides else context - len(self.prompt_ids)
        self._limit = min(params.max_new_tokens, room)
        self._full = "length" if params.max_new_tokens <= room else "context"
        self._uniforms = sequence_uniforms(params.seed, *key, max(0, self._limit))
        self._text = TextStream(tokenizer, self.prompt_ids, params.stop)
        self._decodes_live = live or bool(params.stop)  # otherwise all ids are decoded at the end
        self._chunks: list[str] = []

    def window(self) -> list[int]:
        """Return the ids to read before the next token: prompt and text, or their last part if they fill the context."""
        ids = self.prompt_ids + self.ids
        return ids if len(ids) < self._context else ids[-max(1, self._context // 2) :]

    def length(self) -> int:
        """Return the maximum number of tokens of the window and of the tokens that can follow before the context is full."""
        return len(self.window()) + self._steps()

    def tokens(self) -> TokenSequence:
        """Return the window as a sequence to decode."""
        done, params = len(self.ids), self.params
        uniforms = self._uniforms[done : done + self._steps()]
        sequence = TokenSequence(self.window(), uniforms, params.temperature, params.top_k, params.top_p)
        self._sequence = self._sequence or sequence
        return sequence

    @property
    def shared_prompt_tokens(self) -> int:
        """The number of tokens of the prompt that were not read again, because an earlier prompt began with them."""
        return 0 if self._sequence is None else self._sequence.shared

    def full(self) -> TextChunk | None:
        """Return the last chunk if there is no room for another token, else None."""
        return self.finish(self._full) if len(self.ids) >= self._limit else None

    def add(self, token: int) -> TextChunk | None:
        """Append a token. Returns a chunk if text became final or the text is complete."""
        self.ids.append(token)
        text = self._text.push([token]) if self._decodes_live else ""
        if self._text.stopped:
            return self.finish("stop", text)
        if len(self.ids) == self._limit:
            return self.finish(self._full, text)
        if not text:
            return None
        self._chunks.append(text)
        return TextChunk(*self.key, text)

    def finish(self, reason: str, last: str = "") -> TextChunk:
        """Return the last chunk, with the rest of the text."""
        last += ("" if self._decodes_live else self._text.push(self.ids)) + self._text.finish()
        return TextChunk(*self.key, last, Continuation(self.prompt, "".join(self._chunks) + last, self.ids, reason))

    def _steps(self) -> int:
        """Return the number of tokens that can be sampled before the context is full or the limit is reached."""
        return max(0, min(self._limit - len(self.ids), self._context - len(self.window())))
