"""Cleaning and word splitting of GPT-1: ftfy, standardised punctuation, spaCy's rules for English, lower case.

Source: the code released with "Improving Language Understanding by Generative Pre-Training", `text_utils.py`. There is one
difference: ftfy is applied to each line separately, so that the ids of a document do not depend on how it is split into chunks.
"""

from __future__ import annotations

import re
from typing import Any

from gptkit.errors import ConfigError, DataError

NEWLINE = "\n"
"""The piece that represents a run of white space that contains a line break."""

_PLAIN = re.compile(r"[\t\n -%'-~]*").fullmatch  # text that ftfy does not change: printable ASCII without entities
PUNCTUATION_RUNS = re.compile(r"([-~!\";?+,)(/*\[\]}{|_])\1*")
"""Runs of punctuation that are separated from words. The backslash is not included: the released expression has one, but its string
literal is not raw, which turns it into a second plus sign."""

PUNCTUATION_RUNS_WITH_BACKSLASH = re.compile(r"([-~!\";?+,)(\\/*\[\]}{|_])\1*")
"""The same with the backslash, for tokenizers that were saved with it."""

_STANDARD_PUNCTUATION = str.maketrans({"—": "-", "–": "-", "―": "-", "…": "...", "´": "'"})  # noqa: RUF001


def fix_encoding(text: str) -> str:
    """Fix broken encodings, entities, curly quotes and the like with ftfy, line by line."""
    if _PLAIN(text):
        return text
    from ftfy import fix_text

    return "".join(line if _PLAIN(line) else fix_text(line) for line in re.findall(r"[^\n]*\n|[^\n]+", text))


def split_pieces(text: str, punctuation: re.Pattern[str] = PUNCTUATION_RUNS) -> list[str]:
    """Standardise the output of `fix_encoding` and split it at white space into pieces, with `NEWLINE` between lines.

    All dashes become the same character, and runs of punctuation become separate pieces. White space at the ends yields no piece.
    """
    result: list[str] = []
    for line in punctuation.sub(r" \g<0> ", text.translate(_STANDARD_PUNCTUATION)).split("\n"):
        words = line.split()
        if words and result:
            result.append(NEWLINE)
        result += words
    return result


def last_split_point(text: str, punctuation: re.Pattern[str] = PUNCTUATION_RUNS) -> int:
    """Return the last position at which the pieces of both sides, concatenated, equal those of the whole text; 0 if there is none.

    This must hold for any text that follows. ftfy depends on whole lines, and a line break at the end of a text yields no piece,
    so the position is that of a space within a complete line.
    """
    end = text.rfind("\n")
    while end >= 0:
        begin = text.rfind("\n", 0, end) + 1
        line = text[begin : end + 1]
        index = line.rstrip().rfind(" ")
        if index > 0:
            left, right = (
                split_pieces(fix_encoding(line[:index]), punctuation),
                split_pieces(fix_encoding(line[index:]), punctuation),
            )
            if left and right and left + right == split_pieces(fix_encoding(line), punctuation):
                return begin + index
        end = begin - 1
    return 0


class WordSplitter:
    """Splits pieces into words by the rules of spaCy. Checkpoints contain the rules, because they determine the ids."""

    def __init__(self, rules: bytes | None = None) -> None:
        """Args:
            rules: the attribute `rules` of another splitter; by default the rules of the installed spaCy.

        Raises:
            ConfigError: spaCy or ftfy is not installed.
            DataError: the rules cannot be read.
        """
        try:
            import ftfy  # noqa: F401
            from spacy.lang.en import English
        except ImportError as error:
            raise ConfigError(
                f"tokenizer=gpt1 cleans text as GPT-1's own code does, and {error.name} is missing: pip install gptkit[gpt1], "
                "or set tokenizer.cleaning=transformers"
            ) from None
        split: Any = English().tokenizer
        if rules is not None:
            try:
                split.from_bytes(rules)
            except Exception as error:  # several libraries raise errors of different types
                raise DataError(f"spaCy's rules cannot be read: {type(error).__name__}: {error}".partition("\n")[0]) from None
        self._split = split
        self.rules: bytes = rules or split.to_bytes()
        """The rules of spaCy, serialised."""

    def split(self, piece: str) -> list[str]:
        """Return the words of a piece, in lower case."""
        return [token.text.lower() for token in self._split(piece)]
