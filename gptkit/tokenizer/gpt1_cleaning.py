"""How GPT-1 cleans text and splits it into words: ftfy, standardised punctuation, spaCy's rules for English, lower case.

Source: the code released with "Improving Language Understanding by Generative Pre-Training", `text_utils.py`. One thing differs:
ftfy gets every line by itself, so that the ids of a document do not depend on where it was cut.
"""

from __future__ import annotations

import re
from typing import Any

from gptkit.errors import ConfigError, DataError

NEWLINE = "\n"
"""The piece that stands for any run of white space with a line break in it."""

_PLAIN = re.compile(r"[\t\n -%'-~]*").fullmatch  # nothing in it that ftfy would change: printable ASCII without entities
PUNCTUATION_RUNS = re.compile(r"([-~!\";?+,)(/*\[\]}{|_])\1*")
"""Runs of signs that stand apart. No backslash is among them: the released expression is written to have one, but in a string that
turns it into a second plus sign."""

PUNCTUATION_RUNS_WITH_BACKSLASH = re.compile(r"([-~!\";?+,)(\\/*\[\]}{|_])\1*")
"""The same and the backslash, for tokenizers that were saved so."""

_STANDARD_PUNCTUATION = str.maketrans({"—": "-", "–": "-", "―": "-", "…": "...", "´": "'"})  # noqa: RUF001


def fix_encoding(text: str) -> str:
    """The text with broken encodings, entities, curly quotes and the like mended by ftfy, line by line."""
    if _PLAIN(text):
        return text
    from ftfy import fix_text

    return "".join(line if _PLAIN(line) else fix_text(line) for line in re.findall(r"[^\n]*\n|[^\n]+", text))


def split_pieces(text: str, signs: re.Pattern[str] = PUNCTUATION_RUNS) -> list[str]:
    """The standardised text of `fix(text)`, cut at white space: dashes of one kind, runs of a sign apart, `NEWLINE` between lines.

    White space at both ends gives no piece.
    """
    result: list[str] = []
    for line in signs.sub(r" \g<0> ", text.translate(_STANDARD_PUNCTUATION)).split("\n"):
        words = line.split()
        if words and result:
            result.append(NEWLINE)
        result += words
    return result


def last_split_point(text: str, signs: re.Pattern[str] = PUNCTUATION_RUNS) -> int:
    """The last place where the pieces of both sides, joined, are those of the whole text, whatever follows; 0: none.

    ftfy judges whole lines, and a line break at an end gives no piece, so this is a space within a line that is complete.
    """
    end = text.rfind("\n")
    while end >= 0:
        begin = text.rfind("\n", 0, end) + 1
        line = text[begin : end + 1]
        at = line.rstrip().rfind(" ")
        if at > 0:
            left, right = split_pieces(fix_encoding(line[:at]), signs), split_pieces(fix_encoding(line[at:]), signs)
            if left and right and left + right == split_pieces(fix_encoding(line), signs):
                return begin + at
        end = begin - 1
    return 0


class WordSplitter:
    """spaCy's rules for splitting a piece into words, which a checkpoint keeps: they decide the ids."""

    def __init__(self, rules: bytes | None = None) -> None:
        """These rules, as `rules` gave them, or those of the spaCy that is installed.

        Raises:
            ConfigError: spaCy or ftfy is not installed.
            DataError: these are no rules.
        """
        try:
            import ftfy  # noqa: F401
            from spacy.lang.en import English
        except ImportError as error:
            raise ConfigError(
                f"tokenizer=gpt1 cleans text as GPT-1's own code does, and {error.name} is missing: pip install gptkit[gpt1], "
                "or choose transformers' way with tokenizer.cleaning=transformers"
            ) from None
        split: Any = English().tokenizer
        if rules is not None:
            try:
                split.from_bytes(rules)
            except Exception as error:  # of several libraries
                raise DataError(f"spaCy's rules cannot be read: {type(error).__name__}: {error}".partition("\n")[0]) from None
        self._split = split
        self.rules: bytes = rules or split.to_bytes()
        """Everything that decides the splitting."""

    def split(self, piece: str) -> list[str]:
        """The words of a piece, in lower case."""
        return [token.text.lower() for token in self._split(piece)]
