"""De-tokenizers: they undo the tokenization of benchmark texts, which a model of ordinary text has not seen.

Source of the idea: "Language Models are Unsupervised Multitask Learners", section 3.1, which does not publish its rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable

BRACKETS = {"(": ")", "[": "]", "{": "}"}


def keep(text: str) -> str:
    """Return the text unchanged."""
    return text


def detokenize_wikitext(text: str) -> str:
    """Join the tokens of WikiText: `2 @,@ 000 people , ( about half ) .` becomes `2,000 people, (about half).`

    The rules are those of Megatron-LM and lm-evaluation-harness, in the same order, so that numbers can be compared.
    """
    text = text.replace("s '", "s'")
    for mark in "-,.":
        text = text.replace(f" @{mark}@ ", mark)
    for mark in ":;.!?,":
        text = text.replace(f" {mark} ", f"{mark} ")
    for opening, closing in BRACKETS.items():
        inside = rf"([^{re.escape(closing)}]*?)"
        text = re.sub(rf"{re.escape(opening)}\s*{inside}\s*{re.escape(closing)}", rf"{opening}\1{closing}", text)
    for quote in "\"'":
        text = re.sub(rf"{quote}\s*([^{quote}]*?)\s*{quote}", rf"{quote}\1{quote}", text)
    for level in (4, 3, 2):
        text = text.replace(" ".join("=" * level), "=" * level)
    for old, new in ((" ° ", "°"), (" \n", "\n"), ("\n ", "\n"), (" N ", " 1 "), (" 's", "'s")):
        text = text.replace(old, new)
    return text


DETOKENIZERS: dict[str, Callable[[str], str]] = {"none": keep, "wikitext": detokenize_wikitext}
