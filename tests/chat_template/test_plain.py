"""The templates `plain` and `transcript`: dialogues as text and as token ids, the same in training, scoring and sampling."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gptkit.chat_template.base import ChatTemplate
from gptkit.chat_template.plain import PlainTemplate, TranscriptTemplate
from gptkit.data.parsing.transcripts import parse_transcript
from gptkit.errors import DataError
from gptkit.objective.sft.sft_dataset import tokenize_dialogues
from gptkit.records import Dialogue, Turn
from gptkit.tokenizer import BytesTokenizerConfig

TOKENIZER = BytesTokenizerConfig().build(texts=[])
PLAIN, TRANSCRIPT = PlainTemplate(TOKENIZER), TranscriptTemplate(TOKENIZER)
END = "<|endoftext|>"

SYSTEM, ASK, ANSWER = Turn("system", "Be kind."), Turn("user", "Two plus two?"), Turn("assistant", "Four.")

HISTORY = (
    Turn("system", "Be kind."),
    Turn("user", "Hello?"),
    Turn("assistant", "Hi!"),
    Turn("user", "Your name?"),
    Turn("assistant", "Ann."),
    Turn("user", "Bye."),
)


def texts(template: ChatTemplate, turns: Sequence[Turn]) -> list[tuple[str, bool]]:
    """The text of a dialogue, split where an answer begins or ends."""
    parts: list[tuple[str, bool]] = []
    for span in template.dialogue(turns):
        if parts and parts[-1][1] == span.is_answer:
            parts[-1] = (parts[-1][0] + span.text, span.is_answer)
        else:
            parts.append((span.text, span.is_answer))
    return parts


def test_plain_concatenates_prompt_and_answer() -> None:
    assert PLAIN.prompt_text((SYSTEM, ASK)) == "Be kind.\n\nTwo plus two?"
    assert texts(PLAIN, (ASK, Turn("assistant", " Four."))) == [("Two plus two?", False), (f" Four.{END}", True)]


def test_plain_allows_an_empty_prompt() -> None:
    assert PLAIN.prompt_text(()) == ""
    assert texts(PLAIN, (Turn("user", ""), ANSWER)) == texts(PLAIN, (ANSWER,)) == [("", False), (f"Four.{END}", True)]


def test_a_transcript_names_the_speakers_and_ends_before_the_answer() -> None:
    turns = (ASK, ANSWER, Turn("user", "Sure?"))
    text = f"\n\nHuman: Two plus two?\n\nAssistant: Four.{END}\n\nHuman: Sure?\n\nAssistant:"
    assert TRANSCRIPT.prompt_text(turns) == text
    assert TRANSCRIPT.prompt_text((SYSTEM, ASK)) == "Be kind.\n\n\n\nHuman: Two plus two?\n\nAssistant:"


@pytest.mark.parametrize("answer", ["Yes.", " Yes."])
def test_a_transcript_has_one_space_before_an_answer(answer: str) -> None:
    assert TRANSCRIPT.answer_ids((ASK,), answer) == [*b" Yes.", 256]


def test_only_answers_are_marked_as_answers() -> None:
    dialogue = (SYSTEM, ASK, ANSWER, Turn("user", "Sure?"), Turn("assistant", "Yes."), Turn("user", "Bye."))
    assert texts(TRANSCRIPT, dialogue) == [
        ("Be kind.\n\n\n\nHuman: Two plus two?\n\nAssistant:", False),
        (f" Four.{END}", True),
        ("\n\nHuman: Sure?\n\nAssistant:", False),
        (f" Yes.{END}", True),
    ]


def test_a_transcript_can_be_parsed_back() -> None:
    turns = (SYSTEM, ASK, ANSWER, Turn("user", "Sure?"), Turn("assistant", "Yes."))
    assert parse_transcript("".join(text for text, _ in texts(TRANSCRIPT, turns)).replace(END, "")) == turns


@pytest.mark.parametrize("turns", [(ASK, ANSWER, ASK, ANSWER), (ASK, ASK, ANSWER), (ASK, ANSWER, ASK)])
def test_plain_rejects_several_exchanges_and_suggests_others(turns: tuple[Turn, ...]) -> None:
    with pytest.raises(DataError, match="use chat_template=chatml or chat_template=transcript"):
        PLAIN.dialogue(turns)


@pytest.mark.parametrize("template", [PLAIN, TRANSCRIPT])
def test_invalid_dialogues_raise_in_every_template(template: ChatTemplate) -> None:
    with pytest.raises(DataError, match="ends with a turn of the assistant"):
        template.prompt((ASK, ANSWER))
    with pytest.raises(DataError, match="nothing to learn"):
        template.dialogue((ASK,))
    with pytest.raises(DataError, match="the role tool; it must be one of system, user, assistant"):
        template.prompt((Turn("tool", "x"),))
    with pytest.raises(DataError, match="turn 2 of a dialogue has the role system"):
        template.prompt((ASK, SYSTEM))


@pytest.mark.parametrize("turns", [HISTORY, HISTORY[:4], HISTORY[:2], HISTORY[2:4]])
def test_training_sequences_start_with_the_ids_of_the_prompt(turns: tuple[Turn, ...]) -> None:
    whole = Dialogue((*turns, Turn("assistant", "Good.")))
    (tokenized,) = tokenize_dialogues([whole], template=TRANSCRIPT, context=400, train_on_prompts=False, split="training")
    assert tokenized is not None
    before = TRANSCRIPT.prompt_ids(turns)
    assert tokenized.ids.tolist() == [*before, *TRANSCRIPT.answer_ids(turns, "Good.")]
    assert before.count(256) == sum(turn.role == "assistant" for turn in turns)


def test_an_empty_prompt_is_end_of_text() -> None:
    assert PLAIN.prompt_ids((Turn("user", ""),)) == [256]


def test_a_plain_prompt_rejects_earlier_exchanges() -> None:
    with pytest.raises(DataError, match="use chat_template=chatml"):
        PLAIN.prompt_ids((Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c")))


def test_a_prompt_and_an_answer_that_run_into_one_word_log_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    dialogues = [Dialogue((Turn("user", "Hello"), Turn("assistant", answer))) for answer in ("Hi", " Hi")]
    tokenize_dialogues(dialogues, template=PLAIN, context=40, train_on_prompts=False, split="training")
    assert "in 1 of 2 dialogues of the training split, prompt and answer run into one word" in caplog.text
    assert "chat_template=chatml" in caplog.text
    caplog.clear()
    tokenize_dialogues(dialogues, template=TRANSCRIPT, context=400, train_on_prompts=False, split="training")
    assert not caplog.text
