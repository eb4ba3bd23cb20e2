"""De-tokenizers: benchmark texts become ordinary text, and every text can be restored exactly."""

from __future__ import annotations

import random

import pytest

from gptkit.task.detokenizers import DETOKENIZERS, JOINER, is_framed

WIKITEXT = """ \n = Lobsters = \n \n = = Size = = \n
 The town 's hall , built for 2 @,@ 000 well @-@ known people , is 1 @.@ 5 m ( 24 in ) high . \n
 He said " hello " , and left for the U.S. " Why not ? " asked Mr. Smith in the 5 \u2013 6 \u00b0 C cold ; they didn 't know . \n
"""
PENN = " `` i do n't know , '' mr. <unk> said ( about $ N million or N % ) . \n it 's the agents ' fault ! \n"
BILLION = '" It \'s a shame , " he said , " but I do n\'t care . "\nThe shares fell 5 % to $ 3 .\n'


def restored(name: str, text: str) -> str:
    detokenizer = DETOKENIZERS[name]
    return detokenizer.retokenize(detokenizer.detokenize(text), framed=is_framed(text))


@pytest.mark.parametrize(
    ("name", "tokenized", "expected"),
    [
        ("wikitext", " about 2 @,@ 000 well @-@ known people , at 1 @.@ 5 m . \n", "about 2,000 well-known people, at 1.5 m.\n"),
        ("wikitext", "the king ( born 1800 ) said [ sic ] : no", "the king (born 1800) said [sic]: no"),
        ("wikitext", 'he said " hello there " , and " no . "', 'he said "hello there", and "no."'),
        ("wikitext", " \n = = = History = = = \n The town 's hall \n", "\n=== History ===\nThe town's hall\n"),
        ("wikitext", "Mr. H. Smith of the U.S. left .", "Mr. H. Smith of the U.S. left."),
        ("wikitext", "they didn 't pay $ 5 for 20 % at 20 \u00b0 C", "they didn't pay $5 for 20% at 20\u00b0C"),
        ("ptb", PENN, "\"i don't know,\" mr. <unk> said (about $N million or N%).\nit's the agents' fault!\n"),
        ("one_billion", BILLION, '"It\'s a shame," he said, "but I don\'t care."\nThe shares fell 5% to $3.\n'),
        ("lambada", "`` yes , '' he said , `` i 'm sure '' .", '"yes," he said, "i\'m sure".'),
        ("none", " a , b . \n", " a , b . \n"),
    ],
)
def test_texts_are_joined_and_restored(name: str, tokenized: str, expected: str) -> None:
    assert DETOKENIZERS[name].detokenize(tokenized) == expected
    assert restored(name, tokenized) == tokenized


@pytest.mark.parametrize("name", DETOKENIZERS)
@pytest.mark.parametrize(
    "text", ["", "\n", " ", " \n \n", "a\n\n b ", 'plain, text. "quoted" it\'s (so) - 5-6', f"{JOINER}a ,", "=="]
)
def test_texts_that_no_rule_can_undo_are_restored(name: str, text: str) -> None:
    assert restored(name, text) == text


@pytest.mark.parametrize("name", DETOKENIZERS)
def test_random_texts_are_restored(name: str) -> None:
    draw = random.Random(0)
    pieces = [*"abN159 .,;:!?-\u2013/'\"()[]$%°@=\n", " ", " ", " @-@ ", " @,@ ", "``", "''", " n't", " 's", "Mr", JOINER, ' " ']
    for _ in range(2000):
        text = "".join(draw.choices(pieces, k=draw.randrange(1, 30)))
        assert restored(name, text) == text
    for text in (WIKITEXT, PENN, BILLION):
        assert restored(name, text) == text


def test_ordinary_words_are_not_marked() -> None:
    for name, text in (("wikitext", WIKITEXT), ("ptb", PENN), ("one_billion", BILLION)):
        assert JOINER not in DETOKENIZERS[name].detokenize(text).replace("mr" + JOINER, "mr")
