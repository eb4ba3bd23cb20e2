"""From tokens to text as they come: characters split over tokens are waited for, and stop strings are found across tokens."""

from __future__ import annotations

from collections.abc import Sequence

from gptkit.tokenizer.base import Tokenizer

INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
CONTEXT = 4  # tokens kept in front of new ones, for tokenizers whose decoding depends on what stands before


class TextStream:
    """The text of one continuation. The pieces, one after the other, are the text of all its tokens up to the first stop string."""

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int], stop: Sequence[str] = ()) -> None:
        """Begin behind the tokens `before`, whose text is not repeated."""
        self.tokenizer = tokenizer
        self.stop = stop
        self.stopped = False
        """A stop string has come; the text is complete."""
        self._ids = list(before[-CONTEXT:])
        self._done = len(tokenizer.decode(self._ids))  # characters of these tokens that were passed on
        self._held = ""  # what may turn out to be the beginning of a stop string

    def push(self, ids: Sequence[int]) -> str:
        """The text that is certain now that these tokens have come."""
        self._ids.extend(ids)
        text = self.tokenizer.decode(self._ids)
        # bytes that are no character yet are shown as one replacement character at the end: only that one can still change
        certain = text[:-1] if text.endswith(INCOMPLETE) else text
        new = certain[self._done :]
        self._done = max(self._done, len(certain))
        if certain is text and len(self._ids) > 4 * CONTEXT:
            self._ids = self._ids[-CONTEXT:]
            self._done = len(self.tokenizer.decode(self._ids))
        return self._until_stop(new)

    def finish(self) -> str:
        """What was held back: nothing more comes."""
        rest = self._until_stop(self.tokenizer.decode(self._ids)[self._done :]) if not self.stopped else ""
        rest, self._held = rest + self._held, ""
        return rest

    def _until_stop(self, new: str) -> str:
        if not self.stop:
            return new
        if self.stopped:
            return ""
        text = self._held + new
        result = [index for index in (text.find(word) for word in self.stop) if index >= 0]
        if result:
            self.stopped, self._held = True, ""
            return text[: min(result)]
        keep = max(_overlap(text, word) for word in self.stop)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, word: str) -> int:
    """How many characters at the end of the text begin the word."""
    return next((size for size in range(min(len(text), len(word) - 1), 0, -1) if text.endswith(word[:size])), 0)
