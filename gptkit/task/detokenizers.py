"""Invertible de-tokenizers: they undo the tokenization of benchmark texts, which a model of ordinary text has not seen.

Source of the idea: "Language Models are Unsupervised Multitask Learners", section 3.1. The paper does not publish its rules; these
are our own. Because every text can be restored exactly, the probability of the text that a model reads is a probability of the
original text. Where a rule could not be undone, a word joiner (U+2060) marks the place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

JOINER = "\u2060"
"""Before a place that is written as if a rule had changed it, although the original has it, too. Twice: the line is verbatim."""
TOKEN = rf"(?<=[^\s{JOINER}])"
"""After the last character of a token."""
END = r"(?!\S)"
"""At the end of a token."""


@dataclass(frozen=True)
class Rule:
    """Replaces tokenized text by plain text, and the other way round."""

    tokenized: re.Pattern[str]
    to_plain: str
    plain: re.Pattern[str]
    """Matches all that `tokenized` becomes. It does not match where a joiner precedes."""
    to_tokenized: str

    def detokenize(self, line: str) -> str:
        line = self.plain.sub(lambda match: JOINER + match[0], line)
        return self.tokenized.sub(self.to_plain, line)

    def retokenize(self, line: str) -> str:
        return self.plain.sub(self.to_tokenized, line)


def join(before: str, after: str) -> Rule:
    """Remove the space between two patterns, which must not consume characters."""
    return Rule(re.compile(f"{before} {after}"), "", re.compile(f"{before}{after}"), " ")


def replace(before: str, tokenized: str, plain: str, after: str) -> Rule:
    """Replace one string by another between two patterns, which must not consume characters."""
    return Rule(re.compile(before + re.escape(tokenized) + after), plain, re.compile(before + re.escape(plain) + after), tokenized)


class Detokenizer:
    """Applies rules to every line of a text, in order."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)

    def detokenize(self, text: str) -> str:
        """Return the plain text. A space at the beginning and the end of every line is removed, if all lines have both."""
        if not self._rules:
            return text
        framed = is_framed(text)
        return "".join(self._detokenize_line(line, end, framed) + end for line, end in split_lines(text))

    def retokenize(self, text: str, *, framed: bool = False) -> str:
        """Return the text from which `detokenize` made `text`.

        Args:
            text: what `detokenize` returned.
            framed: what `is_framed` returns for the original.
        """
        if not self._rules:
            return text
        return "".join(self._retokenize_line(line, framed) + end for line, end in split_lines(text))

    def _detokenize_line(self, original: str, end: str, framed: bool) -> str:
        line = original[1:-1] if framed else original
        for rule in self._rules:
            line = rule.detokenize(line)
        is_restored = (line or end) and self._retokenize_line(line, framed) == original
        return line if is_restored else 2 * JOINER + original

    def _retokenize_line(self, line: str, framed: bool) -> str:
        if line.startswith(2 * JOINER):
            return line[2:]
        for rule in reversed(self._rules):
            line = rule.retokenize(line)
        line = line.replace(JOINER, "")
        return (f" {line} " if line else " ") if framed else line


def is_framed(text: str) -> bool:
    """Whether every line begins and ends with a space, as in the files of WikiText and of the Penn Treebank."""
    return all(line.startswith(" ") and line.endswith(" ") for line, _ in split_lines(text))


def split_lines(text: str) -> list[tuple[str, str]]:
    """Return the lines of a text, each with its line end."""
    lines = text.split("\n")
    ends = [*(["\n"] * (len(lines) - 1)), ""]
    return [(line, end) for line, end in zip(lines, ends, strict=True) if line or end]


TITLES = ("Mr", "Mrs", "Ms", "Dr", "St", "Jr", "Sr", "Lt", "Col", "Sgt", "Gen", "Capt", "Prof", "Rev", "Gov", "Sen", "Rep")
ABBREVIATIONS = ("No", "Nos", "Bros", "Co", "Corp", "Inc", "Ltd", "vs", "var", "pp", "cf", "etc", "al")
CLOSING = rf"(?=[\"')\]]*{END})"
"""At the end of a token, or before closing quotation marks and brackets that were joined to it."""


def join_mark(marks: str, before: str = "") -> Rule:
    """Remove the space before punctuation, unless another one of the marks precedes."""
    return join(rf"(?<=[^\s{marks}{JOINER}]){before}", rf"(?=[{marks}]{CLOSING})")


NO_FULL_STOP = r"(?<!\b[A-Z])(?<!\.[A-Za-z])" + "".join(
    rf"(?<!\b{word})" for word in (*(f"(?i:{title})" for title in TITLES), *ABBREVIATIONS)
)
"""After a token that has no full stop of its own."""
PUNCTUATION = (join_mark("!?"), join_mark(";:"), join_mark(","), join_mark(".", NO_FULL_STOP))
BRACKETS = (join(r"(?<=[(\[{])", r"(?=\S)"), join(TOKEN, r"(?=[)\]}])"))
CLITICS = (join(TOKEN, rf"(?='(?:s|m|d|re|ve|ll){END})"), join(r"(?<=s)", rf"(?='{END})"))
NEGATION = (join(r"(?<=[A-Za-z])", rf"(?=n't{END})"),)
PENN_QUOTES = (
    replace(r"(?<!\S)", "`` ", '"', r"(?=[^\s\"])"),
    replace(TOKEN, " ''", '"', rf"(?=[.,;:!?)\]]*{END})"),
)
PAIRED_QUOTES = Rule(
    re.compile(rf'(?<!\S)" (?=[^\s"])([^"]*[^\s"]) "{END}'),
    r'"\1"',
    re.compile(rf'(?<!\S)"(?=[^\s"])([^"]*[^\s"])"{END}'),
    r'" \1 "',
)
AMOUNTS = (join(r"(?<=[$£€₤])", r"(?=[\dN])"), join(r"(?<=[\dN])", rf"(?=%{END})"))

PENN_TREEBANK = (*CLITICS, *NEGATION, *PUNCTUATION, *BRACKETS, *PENN_QUOTES)
WIKITEXT = (
    replace(rf"(?<=[^\s@{JOINER}])", " @-@ ", "-", r"(?=[^\s@])"),
    replace(r"(?<=\d)", " @,@ ", ",", r"(?=\d)"),
    replace(r"(?<=\d)", " @.@ ", ".", r"(?=\d)"),
    replace(r"(?<=\d)", " \u2013 ", "\u2013", r"(?=\d)"),  # en dash
    replace(r"(?<=\w)", " / ", "/", r"(?=\w)"),
    *AMOUNTS,
    join(r"(?<=\d)", r"(?=°)"),
    join(r"(?<=°)", rf"(?=[CF]{END})"),
    *CLITICS,
    join(r"(?<=n)", rf"(?='t{END})"),
    PAIRED_QUOTES,
    *PUNCTUATION,
    *BRACKETS,
    join(r"(?<==)", r"(?==)"),
)

DETOKENIZERS: dict[str, Detokenizer] = {
    "none": Detokenizer(()),
    "wikitext": Detokenizer(WIKITEXT),
    "ptb": Detokenizer((*AMOUNTS, *PENN_TREEBANK)),
    "one_billion": Detokenizer((*AMOUNTS, *CLITICS, *NEGATION, PAIRED_QUOTES, *PUNCTUATION, *BRACKETS)),
    "lambada": Detokenizer(PENN_TREEBANK),
}
