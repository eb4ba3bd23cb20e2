"""Random texts of words that GPT-1's cleaning changes, splits or keeps in different ways."""

from __future__ import annotations

import random

from gptkit.tokenizer.base import END_OF_TEXT
from gptkit.tokenizer.gpt1 import UNKNOWN

WORDS = [
    *("The", "the", "don't", "we'll", "I'VE", "x", "1984", "3.14", "½", "naïve", "Straße", "ΣΑΣ", "日本語", "U.S.", "p.m.", "15K"),
    *(
        "🙂",
        "e\u0301",
        "…",
        "--",
        "—",
        "_",
        "a_b",
        "{",
        "}}",
        "'",
        "'s",
        ":)",
        ": - )",
        "“quoted”",
        "it\u2019s",
        "l\u2019Ã©tÃ©",
        "&amp;",
        "<b>",
    ),
    *("\u0000", "\u200b", "\x1b[31m", END_OF_TEXT, UNKNOWN, "http://a.b/c?d=e", "no-one", "etc.)", "ﬁne", "\u00b4", "$5,000.00"),
    *("C:\\dir", "\\\\", "a\\b+\\+"),
]
SPACES = [" "] * 12 + ["  ", "\n", "\n\n", " \n", "\r\n", "\r", "\t", "\x0b", "\x1c", "\u0085", "\u00a0", "\u2028", "\u3000", ""]


def some_text(seed: int, words: int = 60) -> str:
    generator = random.Random(seed)
    return "".join(generator.choice(SPACES) + generator.choice(WORDS) for _ in range(words)) + generator.choice(SPACES)


CORPUS = [some_text(seed, 200) for seed in range(20)]
