"""Requests as token ids: boundaries, the prefix token, truncation, and the windows of long texts."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from gptkit.errors import DataError
from gptkit.evaluation.encoding import EncodedRequest, RequestEncoder, rolling_windows
from gptkit.task.base import Item, Task
from gptkit.task.requests import Answer, Generation, LogLikelihood, Request, RollingLogLikelihood
from gptkit.tokenizer.bpe import BPETokenizer

TOKENIZER = BPETokenizer.train(["the cat sat on the mat, and the cats sat there. " * 20], size=300)
END = TOKENIZER.special["end_of_text"]


class Empty(Task):
    def __init__(self, boundary: str, prefix: str) -> None:
        self.boundary, self.prefix = boundary, prefix

    def items(self) -> Sequence[Item]:
        return []

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        return {}


def encode(request: Request, *, boundary: str = "joint", prefix: str = "empty", context: int = 64) -> EncodedRequest:
    encoder = RequestEncoder(Empty(boundary, prefix), TOKENIZER, context=context)
    return encoder.encode_item(Item((request,), where="a.jsonl:3"))[0]


def parts(request: Request, *, boundary: str = "joint", prefix: str = "empty") -> tuple[list[int], list[int]]:
    (sequence,) = encode(request, boundary=boundary, prefix=prefix).sequences
    return sequence.context, sequence.continuation


def test_separate_boundary_encodes_each_text_by_itself() -> None:
    context, continuation = parts(LogLikelihood("the cat", "s sat"), boundary="separate")
    assert (context, continuation) == (TOKENIZER.encode("the cat"), TOKENIZER.encode("s sat"))


def test_joint_boundary_cuts_the_tokens_of_the_whole_text() -> None:
    context, continuation = parts(LogLikelihood("the cat sat on", " the mat"))
    assert context + continuation == TOKENIZER.encode("the cat sat on the mat")
    assert context == TOKENIZER.encode("the cat sat on")


def test_trailing_spaces_of_the_context_move_to_the_continuation() -> None:
    assert parts(LogLikelihood("the cat ", "sat")) == parts(LogLikelihood("the cat", " sat"))


def test_continuation_keeps_a_token_if_one_token_spans_the_boundary() -> None:
    whole = TOKENIZER.encode(" the")
    assert len(whole) == 1  # one token for the context " t" and the continuation "he"
    context, continuation = parts(LogLikelihood("cat t", "he"))
    assert continuation
    assert context + continuation == TOKENIZER.encode("cat the")


def test_end_of_text_precedes_an_empty_context_or_every_context() -> None:
    assert parts(LogLikelihood("", "the cat")) == ([END], TOKENIZER.encode("the cat"))
    assert parts(LogLikelihood("the", " cat"))[0] == TOKENIZER.encode("the")
    assert parts(LogLikelihood("the", " cat"), prefix="always")[0] == [END, *TOKENIZER.encode("the")]
    assert parts(LogLikelihood("", " cat"), prefix="always")[0] == [END]


def test_truncated_tokens_are_counted() -> None:
    ids = TOKENIZER.encode("the cat sat on the mat")
    encoded = encode(LogLikelihood("the cat sat on the mat", "!"), context=3)
    assert encoded.sequences[0].context == ids[-3:]
    assert encoded.truncated == len(ids) - 3
    prompt = encode(Generation("the cat sat on the mat", max_new_tokens=2), context=5)
    assert prompt.sequences[0].context == ids[-3:]
    assert prompt.truncated == len(ids) - 3
    assert encode(Generation("", max_new_tokens=2)).sequences[0].context == [END]


def test_empty_continuations_and_texts_are_reported() -> None:
    for request in (LogLikelihood("the", ""), RollingLogLikelihood("")):
        with pytest.raises(DataError, match=r"a\.jsonl:3: .* is empty; there is nothing to score"):
            encode(request)


@pytest.mark.parametrize("stride", [0, 1, 3, 5, 8])
def test_windows_score_every_token_once_with_the_tokens_before_it(stride: int) -> None:
    for length in range(1, 40):
        ids = random.Random(length).sample(range(1000), length)
        tokens, scored = [-1, *ids], 1
        windows = list(rolling_windows(ids, -1, 8, stride))
        for number, window in enumerate(windows):
            assert window.continuation == tokens[scored : scored + len(window.continuation)]
            assert window.context == tokens[max(0, scored + len(window.continuation) - 9) : scored]
            assert len(window) - 1 <= 8
            if 0 < number < len(windows) - 1:
                assert len(window.continuation) == (stride or 8)
            scored += len(window.continuation)
        assert scored == len(tokens)
