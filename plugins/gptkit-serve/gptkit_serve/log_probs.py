"""Log-probabilities of tokens, with the text of each token and its place in the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gptkit.generation.text_sequence import TextSequence, TokenLogProbs
from gptkit.generation.text_stream import TextStream
from gptkit.tokenizer.base import Tokenizer


@dataclass(frozen=True)
class TokenEntry:
    """A token, its place in the text in characters, and its log-probabilities; None: there are none for the first token."""

    token: str
    offset: int
    log_probs: TokenLogProbs | None


class TokenReader:
    """Reads the tokens of a text as its chunks are returned. Tokens of a stop string are left out, as their text is."""

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int], *, offset: int = 0) -> None:
        """
        Args:
            tokenizer: the tokenizer of the text.
            before: the tokens before the text.
            offset: the number of characters before the text.
        """
        self._tokenizer, self._stream = tokenizer, TextStream(tokenizer, before)
        self._count, self._offset = 0, offset

    def read(self, ids: Sequence[int], log_probs: Sequence[TokenLogProbs | None], *, end: int | None) -> list[TokenEntry]:
        """Return the tokens that were not returned before.

        Args:
            ids: all tokens of the text.
            log_probs: one entry for each of them.
            end: the number of characters before the end of the text that was returned; None: return all tokens.
        """
        entries = []
        while self._count < min(len(ids), len(log_probs)) and (end is None or self._offset < end):
            token = ids[self._count]
            entries.append(TokenEntry(self._tokenizer.decode([token]), self._offset, log_probs[self._count]))
            self._offset += len(self._stream.push([token]))
            self._count += 1
        return entries


class AnswerTokens:
    """The tokens of a text that is being generated."""

    def __init__(self, tokenizer: Tokenizer, text: TextSequence, *, offset: int = 0) -> None:
        self._text, self._end = text, offset
        self._reader = TokenReader(tokenizer, text.prompt_ids, offset=offset)

    def read(self, new: str, finish_reason: str | None) -> list[TokenEntry]:
        """Return the tokens of a chunk.

        Args:
            new: the text of the chunk.
            finish_reason: the reason why the text ends with this chunk; None: it does not.
        """
        self._end += len(new)
        is_last = finish_reason not in (None, "stop")
        return self._reader.read(self._text.ids, self._text.log_probs, end=None if is_last else self._end)


def chat_content(tokenizer: Tokenizer, entries: Sequence[TokenEntry]) -> list[dict[str, Any]]:
    """Return the log-probabilities of tokens as in `logprobs.content` of a chat completion."""
    content = []
    for entry in entries:
        values = entry.log_probs
        assert values is not None
        top = [_token(tokenizer.decode([token]), value) for token, value in values.top]
        content.append({**_token(entry.token, values.log_prob), "top_logprobs": top})
    return content


def _token(text: str, log_prob: float) -> dict[str, Any]:
    is_part = "\N{REPLACEMENT CHARACTER}" in text  # of a character that spans several tokens
    return {"token": text, "logprob": log_prob, "bytes": None if is_part else list(text.encode("utf-8", "replace"))}


def completion_content(tokenizer: Tokenizer, entries: Sequence[TokenEntry]) -> dict[str, Any]:
    """Return the log-probabilities of tokens as in `logprobs` of a completion."""
    tops: list[dict[str, float] | None] = []
    for entry in entries:
        values = entry.log_probs
        if values is None:
            tops.append(None)
            continue
        top: dict[str, float] = {}
        for token, value in values.top:
            top.setdefault(tokenizer.decode([token]), value)  # tokens may look alike; the most probable one is shown
        top.setdefault(entry.token, values.log_prob)
        tops.append(top)
    return {
        "tokens": [entry.token for entry in entries],
        "token_logprobs": [None if entry.log_probs is None else entry.log_probs.log_prob for entry in entries],
        "top_logprobs": tops,
        "text_offset": [entry.offset for entry in entries],
    }
