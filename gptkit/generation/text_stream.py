"""Incremental decoding of tokens to text: handles characters and stop strings that span several tokens."""

from __future__ import annotations

from collections.abc import Sequence

from gptkit.tokenizer.base import Tokenizer

INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
CONTEXT = 4  # tokens kept before new ones, for tokenizers whose decoding depends on preceding tokens


class TextStream:
    """The text of one continuation. The concatenated chunks are the text of all tokens before the first stop string."""

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int], stop: Sequence[str] = ()) -> None:
        """Start after the tokens `before`, whose text is not repeated."""
        self.tokenizer = tokenizer
        self.stop = stop
        self.stopped = False
        """Whether a stop string was found, so that the text is complete."""
        self._ids = list(before[-CONTEXT:])
        self._done = len(tokenizer.decode(self._ids))  # number of characters of these tokens that were returned
        self._held = ""  # text that may be the start of a stop string

    def push(self, ids: Sequence[int]) -> str:
        """Append tokens, and return the text that is now final."""
        self._ids.extend(ids)
        text = self.tokenizer.decode(self._ids)
        # an incomplete character is decoded as one replacement character at the end; only this character can still change
        final = text[:-1] if text.endswith(INCOMPLETE) else text
        new = final[self._done :]
        self._done = max(self._done, len(final))
        if final is text and len(self._ids) > 4 * CONTEXT:
            self._ids = self._ids[-CONTEXT:]
            self._done = len(self.tokenizer.decode(self._ids))
        return self._until_stop(new)

    def finish(self) -> str:
        """End the text, and return the rest of it."""
        rest = self._until_stop(self.tokenizer.decode(self._ids)[self._done :]) if not self.stopped else ""
        rest, self._held = rest + self._held, ""
        return rest

    def _until_stop(self, new: str) -> str:
        if not self.stop:
            return new
        if self.stopped:
            return ""
        text = self._held + new
        starts = [index for index in (text.find(stop) for stop in self.stop) if index >= 0]
        if starts:
            self.stopped, self._held = True, ""
            return text[: min(starts)]
        keep = max(_overlap(text, stop) for stop in self.stop)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of the text that is a start of the stop string."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
