"""Evaluations with a chat template: contexts are messages of a user, and continuations are answers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gptkit.chat_template import ChatMLConfig, PlainConfig, TranscriptConfig
from gptkit.errors import ConfigError
from gptkit.evaluation.encoding import RequestEncoder
from gptkit.evaluation.model_answerer import ModelAnswerer
from gptkit.evaluation.runner import evaluate
from gptkit.generation import generate
from gptkit.records import Turn
from gptkit.task.base import Item, SolvedExample, Task
from gptkit.task.comparison import Subject
from gptkit.task.requests import (
    Answer,
    Generation,
    GenerationAnswer,
    LogLikelihood,
    LogLikelihoodAnswer,
    Request,
    RollingLogLikelihood,
)
from tests.small_models import END, TOKENIZER, random_model, slow_log_probs

MODEL = random_model(context=96)
TRANSCRIPT = TranscriptConfig().build(tokenizer=TOKENIZER)


SOLVED = (SolvedExample("Q: a\nA: b\n\n", "Q: a\nA:", " b"), SolvedExample("Q: c\nA: d\n\n", "Q: c\nA:", " d"))


class One(Task):
    def __init__(self, *requests: Request) -> None:
        self.requests = requests
        self.answers: list[Answer] = []

    def items(self) -> Sequence[Item]:
        return [Item(self.requests)]

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        self.answers += answers
        return {"one": 1.0}


def encoded(template: object, *requests: Request) -> list[tuple[list[int], list[int]]]:
    encoder = RequestEncoder(One(), TOKENIZER, context=400, chat=template)  # type: ignore[arg-type]
    parts = encoder.encode_item(Item(requests))
    return [(part.sequences[0].context, part.sequences[0].continuation) for part in parts]


def test_a_continuation_is_the_answer_to_its_context() -> None:
    request = LogLikelihood("Two plus two? ", " Four")
    (chatml,) = encoded(ChatMLConfig().build(tokenizer=TOKENIZER), request)
    begin, end = TOKENIZER.encode("<|im_start|>user\nTwo plus two?"), TOKENIZER.encode("\n<|im_start|>assistant\n")
    assert chatml == ([*begin, END, *end], TOKENIZER.encode("Four"))
    (transcript,) = encoded(TRANSCRIPT, request)
    assert transcript == (TOKENIZER.encode("\n\nHuman: Two plus two?\n\nAssistant:"), TOKENIZER.encode(" Four"))
    (plain,) = encoded(PlainConfig().build(tokenizer=TOKENIZER), request)
    assert plain == (TOKENIZER.encode("Two plus two? "), TOKENIZER.encode(" Four"))


def test_scores_and_texts_are_those_of_the_rendered_messages() -> None:
    task = One(LogLikelihood("a b", " c"), Generation("a b", max_new_tokens=5))
    evaluate(task, ModelAnswerer(Subject(MODEL, TOKENIZER), chat=TRANSCRIPT))
    likelihood, text = task.answers
    assert isinstance(likelihood, LogLikelihoodAnswer)
    assert isinstance(text, GenerationAnswer)
    prompt = "\n\nHuman: a b\n\nAssistant:"
    expected = slow_log_probs(MODEL, TOKENIZER.encode(prompt), TOKENIZER.encode(" c"))
    assert likelihood.log_probs == pytest.approx(expected, abs=1e-4)
    ((continuation,),) = generate(MODEL, TOKENIZER, [prompt], max_new_tokens=5, temperature=0)
    assert text.text == continuation.text


def test_the_protocol_names_the_template() -> None:
    subject = Subject(MODEL, TOKENIZER)
    protocols = [ModelAnswerer(subject, chat=chat).protocol(One()) for chat in (None, TRANSCRIPT)]
    assert "chat" not in protocols[0]
    assert protocols[1].pop("chat").keys() == {"template", "end", "fewshot"}
    assert protocols[0] == protocols[1]


def test_whole_texts_are_no_answers() -> None:
    with pytest.raises(ConfigError, match="chat=true: this task scores whole texts"):
        encoded(TRANSCRIPT, RollingLogLikelihood("abc"))


def test_examples_are_earlier_messages_and_answers() -> None:
    text = "".join(example.text for example in SOLVED)
    item = Item(
        (LogLikelihood(f"Exam.\n{text}Q: e\nA:", " f"), Generation(f"{text}Q: e\nA:", 4)), examples=len(text), solved=SOLVED
    )
    encoder = RequestEncoder(One(), TOKENIZER, context=400, chat=TRANSCRIPT)
    scored, generated = (encoded.sequences[0] for encoded in encoder.encode_item(item))
    turns = [("Q: a\nA:", "b"), ("Q: c\nA:", "d")]
    messages = tuple(Turn(role, text) for pair in turns for role, text in zip(("user", "assistant"), pair, strict=True))
    question = Turn("user", "Q: e\nA:")
    assert generated.context == TRANSCRIPT.prompt_ids((*messages, question))
    first = Turn("user", "Exam.\nQ: a\nA:")
    assert scored.context == TRANSCRIPT.prompt_ids((first, *messages[1:], question))
    assert scored.continuation == TOKENIZER.encode(" f")
    plain = PlainConfig().build(tokenizer=TOKENIZER)  # it has one exchange, so the examples remain in the message
    (_, in_one) = RequestEncoder(One(), TOKENIZER, context=400, chat=plain).encode_item(item)
    assert in_one.sequences[0].context == TOKENIZER.encode(f"{text}Q: e\nA:")


def test_the_protocol_says_where_examples_are() -> None:
    subject = Subject(MODEL, TOKENIZER)
    plain = PlainConfig().build(tokenizer=TOKENIZER)
    fewshot = [ModelAnswerer(subject, chat=chat).protocol(One())["chat"]["fewshot"] for chat in (TRANSCRIPT, plain)]
    assert fewshot == ["turns", "in the message of the user"]
