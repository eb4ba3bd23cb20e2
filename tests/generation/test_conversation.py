"""Conversations: answers equal those of `generate`, the state of earlier turns is shared, and the oldest turns are dropped."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from gptkit.chat_template import ChatMLConfig, ChatTemplateConfig, JinjaConfig, PlainConfig, TranscriptConfig
from gptkit.errors import DataError
from gptkit.generation.conversation import ChatPrompt, Conversation
from gptkit.generation.engine import generate
from gptkit.generation.sampling import SamplingParams
from gptkit.generation.text_sequence import Continuation
from gptkit.records import Turn
from tests.small_models import TOKENIZER, random_model

SHORT = SamplingParams(6, temperature=0.9, seed=3)


def conversation(
    kind: str = "gpt", *, context: int = 512, template: ChatTemplateConfig | None = None, **others: Any
) -> Conversation:
    model = random_model(kind, context=context)
    return Conversation(model, (template or TranscriptConfig()).build(tokenizer=TOKENIZER), **others)


def finish(answer: tuple[ChatPrompt, Any]) -> tuple[ChatPrompt, Continuation]:
    prompt, chunks = answer
    *_, last = chunks
    return prompt, last.finished


@pytest.mark.parametrize("kind", ["gpt", "banded", "lstm"])
def test_every_answer_is_that_of_generate_to_the_same_turns(kind: str) -> None:
    talk = conversation(kind, system="Rhyme.")
    model = random_model(kind, context=512)
    for message in ("One " * 20, "Two " * 9, "Three"):
        prompt, answer = finish(talk.ask(message, SHORT))
        ids = [talk.template.prompt_ids(prompt.turns)]
        ((expected, again),) = generate(
            model, TOKENIZER, [""], max_new_tokens=6, temperature=0.9, seed=3, samples=2, prompt_ids=ids, end=talk.template.end
        )
        assert (answer.text, answer.tokens) == (expected.text, expected.tokens)
    assert finish(talk.retry(SHORT))[1].text == again.text
    assert talk.turns[-1] == Turn("assistant", again.text)
    assert [turn.role for turn in talk.messages] == ["system", *["user", "assistant"] * 3]


def test_a_turn_reads_only_what_is_new_since_the_turn_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache shares whole chunks of 64 tokens."""
    model = random_model("gpt", context=2048)
    read: list[int] = []
    model.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0].shape[1]))
    talk = Conversation(model, TranscriptConfig().build(tokenizer=TOKENIZER))
    counts, lengths = [], []
    for number in range(5):
        read.clear()
        prompt, _ = finish(talk.ask(f"{number} " * 75, SHORT))
        counts.append(sum(read))
        lengths.append(len(prompt.ids))
    assert lengths[-1] > 4 * lengths[0]
    for count, (before, now) in zip(counts[1:], itertools.pairwise(lengths), strict=True):
        assert count <= now - before + 64 + SHORT.max_new_tokens


def test_the_oldest_exchanges_are_not_read_when_the_context_is_full() -> None:
    talk = conversation(context=128, system="Be kind.")
    prompts = [finish(talk.ask(f"Message number {number}.", SHORT))[0] for number in range(5)]
    assert prompts[0].dropped == 0
    assert prompts[-1].dropped > 0
    for prompt in prompts:
        assert prompt.dropped % 2 == 0
        assert prompt.turns[0] == Turn("system", "Be kind.")
        assert prompt.turns[1].role == prompt.turns[-1].role == "user"
        assert len(prompt.ids) <= 128 - SHORT.max_new_tokens
    one_more = talk.turns[prompts[-1].dropped - 2 : -1]
    assert len(talk.template.prompt_ids((Turn("system", "Be kind."), *one_more))) > 128 - SHORT.max_new_tokens
    assert len(talk.turns) == 10
    with pytest.raises(DataError, match=r"has \d+ tokens with the system message, and the model's context of 128 has no room"):
        talk.ask("long " * 40, SHORT)
    assert len(talk.turns) == 10


def test_plain_reads_each_message_alone() -> None:
    talk = conversation(template=PlainConfig(), context=64)
    assert not talk.has_memory
    finish(talk.ask("The film", SHORT))
    prompt, _ = finish(talk.ask("This actor", SHORT))
    assert prompt.turns == (Turn("user", "This actor"),)
    assert conversation(template=ChatMLConfig()).has_memory


def test_undo_and_retry_change_the_last_exchange() -> None:
    talk = conversation()
    with pytest.raises(DataError, match="nothing has been said"):
        talk.undo()
    with pytest.raises(DataError, match="no message to answer"):
        talk.retry(SHORT)
    _, first = finish(talk.ask("One", SHORT))
    texts = [first.text] + [finish(talk.retry(SHORT))[1].text for _ in range(3)]
    assert len(set(texts)) == 4
    before = talk.turns
    finish(talk.ask("Two", SHORT))
    assert talk.undo() == Turn("user", "Two")
    assert talk.turns == before
    talk.undo()
    assert finish(talk.ask("One", SHORT))[1].text == first.text
    talk.replace((Turn("system", "S"), Turn("user", "One")))
    assert talk.system == "S"
    finish(talk.retry(SHORT))
    assert [turn.role for turn in talk.turns] == ["user", "assistant"]


def test_a_stopped_answer_keeps_what_was_said() -> None:
    talk, whole = conversation(), conversation()
    _, expected = finish(whole.ask("Go", SamplingParams(50, seed=1)))
    calls = itertools.count()
    _, stopped = finish(talk.ask("Go", SamplingParams(50, seed=1), is_stopped=lambda: next(calls) == 9))
    assert stopped.text
    assert len(stopped.tokens) < len(expected.tokens)
    assert expected.text.startswith(stopped.text.rstrip("\N{REPLACEMENT CHARACTER}"))
    assert talk.turns == (Turn("user", "Go"), Turn("assistant", stopped.text))
    finish(talk.retry(SHORT, is_stopped=lambda: True))
    assert talk.turns[-1].text == stopped.text  # nothing was said, so the answer before remains
    _, chunks = talk.ask("And then", SHORT)
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert len(talk.turns) == 2
    assert finish(talk.ask("And then", SHORT))[1].finish_reason == "length"


def test_a_template_without_system_messages_refuses_them() -> None:
    text = (
        "{% for message in messages %}{% if message.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{{ message.content + eos_token }}{% endfor %}"
    )
    talk = conversation(template=JinjaConfig(text=text))
    with pytest.raises(DataError, match="no system"):
        talk.set_system("Be kind.")
    with pytest.raises(DataError, match="no system"):
        talk.replace((Turn("system", "Be kind."), Turn("user", "a")))
    assert (talk.system, talk.turns) == ("", ())
