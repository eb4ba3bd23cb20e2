"""`task=system_message`: the form that a system message asks for, checked by a program."""

from __future__ import annotations

import numpy as np
import pytest

from gptkit.chat_template import ChatMLConfig
from gptkit.errors import ConfigError
from gptkit.evaluation.encoding import RequestEncoder
from gptkit.task import SystemMessageConfig
from gptkit.task.generated_config import INSTRUCTIONS
from gptkit.task.requests import ChatGeneration, GenerationAnswer
from gptkit.task.system_message import instruction
from tests.small_models import END, TOKENIZER

RIGHT = {
    "capitals": ["PARIS.", "12 A"],
    "lower_case": ["paris."],
    "begin": ["Well, Paris.", '"Well": Paris'],
    "end": ["Paris, well.", "Paris well"],
    "words": ["It is Paris."],
    "lines": ["a\nb\n\nc"],
    "json": ['{"a": 1}', "{}"],
    "without": ["Paris is big"],
}
WRONG = {
    "capitals": ["Paris", "", "12"],
    "lower_case": ["Paris", "", "12"],
    "begin": ["Paris, well.", ""],
    "end": ["Well, Paris.", ""],
    "words": ["Paris", "It is not Paris.", ""],
    "lines": ["a", ""],
    "json": ["[1]", "Sure: {}", "", "{" * 10],
    "without": ["The city", "E", "", "..."],
}


@pytest.mark.parametrize("kind", INSTRUCTIONS)
def test_replies_are_checked(kind: str) -> None:
    check = instruction(kind, "well", 3).is_followed
    assert all(map(check, RIGHT[kind]))
    assert not any(map(check, WRONG[kind]))


def test_every_question_is_asked_with_and_without_the_system_message() -> None:
    task = SystemMessageConfig(examples=5).build()
    items = task.items()
    assert len(items) == 5 * len(INSTRUCTIONS)
    for item in items:
        asked, unasked = item.requests
        assert isinstance(asked, ChatGeneration) and isinstance(unasked, ChatGeneration)
        assert asked.prompt == unasked.prompt and asked.system and not unasked.system
    assert [item.requests for item in SystemMessageConfig(examples=3, kinds=["end"]).build().items()] == [
        item.requests for item in items if item.group == "end"
    ][:3]


def test_the_metrics_are_shares_of_replies() -> None:
    task = SystemMessageConfig(examples=2, kinds=["capitals", "json"]).build()
    replies = [("YES", "Yes"), ("NO", "NO"), ("{}", "x"), ("x", "x")]
    scores = [task.score(item, [GenerationAnswer(text) for text in pair]) for item, pair in zip(task.items(), replies, strict=True)]
    metrics = task.aggregate({name: np.array([each[name] for each in scores]) for name in scores[0]})
    assert metrics == {"followed": 0.75, "followed_unasked": 0.25, "capitals": 1.0, "json": 0.5}


def test_a_system_message_comes_before_the_message_of_the_user() -> None:
    task = SystemMessageConfig(examples=1, kinds=["capitals"]).build()
    template = ChatMLConfig().build(tokenizer=TOKENIZER)
    encoder = RequestEncoder(task, TOKENIZER, context=400, chat=template)
    asked, unasked = (encoded.sequences[0].context for encoded in encoder.encode_item(task.items()[0]))
    assert TOKENIZER.decode(asked).startswith("<|im_start|>system\nAnswer in capital letters only.")
    assert asked.count(END) == unasked.count(END) + 1
    with pytest.raises(ConfigError, match="this task sends messages; set chat=true"):
        RequestEncoder(task, TOKENIZER, context=400).encode_item(task.items()[0])
