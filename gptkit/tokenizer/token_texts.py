"""The text of each token of a sequence, so that log-probabilities can be shown beside them."""

from __future__ import annotations

from collections.abc import Sequence

from gptkit.tokenizer.base import Tokenizer

LONGEST = 8
"""The number of tokens that may form one character. UTF-8 needs four bytes."""

_UNKNOWN = "\ufffd"


class TokenTexts:
    """Splits texts at their tokens, for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._whole: dict[int, str] = {}
        """The texts of tokens that are whole characters."""

    def __call__(self, ids: Sequence[int]) -> tuple[str, ...]:
        """Return the text of each token.

        A token that ends inside a character has an empty text; the character belongs to the token that completes it.
        """
        texts: list[str] = []
        incomplete: list[int] = []
        for token in ids:
            text = self._decode([token]) if not incomplete else _UNKNOWN
            if _UNKNOWN in text:
                incomplete.append(token)
                text = self._tokenizer.decode(incomplete)
                if text.endswith(_UNKNOWN) and len(incomplete) < LONGEST:
                    texts.append("")
                    continue
                incomplete = []
            texts.append(text)
        if incomplete:
            texts[-1] = self._tokenizer.decode(incomplete)
        if "".join(texts) != self._tokenizer.decode(ids):
            texts = [self._after(before, token) for before, token in zip([None, *ids], ids, strict=False)]
        return tuple(texts)

    def _after(self, before: int | None, token: int) -> str:
        """Return the text of a token whose spaces depend on the token before it, as in the tokenizer of GPT-1."""
        if before is None:
            return self._decode([token])
        prefix, pair = self._decode([before]), self._tokenizer.decode([before, token])
        return pair.removeprefix(prefix) if pair.startswith(prefix) else self._decode([token])

    def _decode(self, ids: list[int]) -> str:
        (token,) = ids
        if token not in self._whole:
            self._whole[token] = self._tokenizer.decode(ids)
        return self._whole[token]
