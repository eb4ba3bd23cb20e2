"""The base class of chat templates, and the conversion of rendered dialogues to token ids.

A dialogue is rendered to spans: ordinary text, and special tokens, which only the template writes. The name of a special token in
a message is ordinary text, so a user cannot end a message or speak in another role.

Answers are encoded separately from what comes before, so that the boundary between their tokens is the same in training, where the
answer is known, and in sampling, where it is not. An answer ends with the token `ChatTemplate.end`.
"""

from __future__ import annotations

import itertools
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gptkit.errors import DataError
from gptkit.records import Turn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gptkit.tokenizer.base import Tokenizer

    Ids = NDArray[np.int64]

_log = logging.getLogger("gptkit")

ROLES = ("system", "user", "assistant")

DIALOGUES_PER_CHUNK = 2048
"""The number of dialogues that are tokenised at a time."""


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a rendered dialogue."""

    text: str
    token: int | None = None
    """The id of a special token, whose name is `text`; None: ordinary text."""
    is_answer: bool = False
    """Whether it belongs to an answer of the assistant, including the token that ends it."""


class ChatTemplate(ABC):
    """Renders dialogues for one tokenizer. Turns are checked before they are rendered: see `check_turns`."""

    tokenizer: Tokenizer

    end: int
    """The id of the token that ends an answer."""

    jinja: str
    """The template in the form of transformers' `chat_template.jinja`, for the export. It renders the same texts."""

    marks_answers: bool = True
    """Whether the template writes something between a message and its answer, so that neither needs white space there."""

    @abstractmethod
    def render(self, turns: Sequence[Turn], *, add_generation_prompt: bool) -> list[Span]:
        """Render turns. The first span is no answer; it may be an empty text.

        Args:
            turns: checked turns, possibly none.
            add_generation_prompt: whether to add the text with which an answer begins. Otherwise the last turn is an answer.

        Raises:
            DataError: the template does not support these turns.
        """

    def prompt(self, turns: Sequence[Turn]) -> list[Span]:
        """Render the turns before an answer.

        Raises:
            DataError: the last turn is the assistant's, a role is unknown or out of place, or the template does not support them.
        """
        check_turns(turns)
        if turns and turns[-1].role == "assistant":
            raise DataError("a prompt ends with a turn of the assistant; it must end before the assistant's answer")
        return self.render(turns, add_generation_prompt=True)

    def dialogue(self, turns: Sequence[Turn]) -> list[Span]:
        """Render a dialogue up to the end of its last answer. Turns and text after it are left out.

        Raises:
            DataError: there is no answer, a role is unknown or out of place, or the template does not support the turns.
        """
        check_turns(turns)
        answered = max((index + 1 for index, turn in enumerate(turns) if turn.role == "assistant"), default=0)
        if not answered:
            raise DataError("a dialogue has no turn of the assistant, so there is nothing to learn")
        self.check_dialogue(turns)
        spans = self.render(turns[:answered], add_generation_prompt=False)
        last = max(index for index, span in enumerate(spans) if span.is_answer)
        return spans[: last + 1]

    def supports_dialogues(self) -> bool:
        """Whether a prompt may contain earlier messages and answers."""
        try:
            self.prompt((Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c")))
        except DataError:
            return False
        return True

    def check_dialogue(self, turns: Sequence[Turn]) -> None:  # noqa: B027  # most templates support all dialogues
        """Raise a DataError if the template does not support a dialogue, including turns after its last answer."""

    def answer(self, turns: Sequence[Turn], text: str) -> list[Span]:
        """Render an answer to a prompt, with the token that ends it.

        Raises:
            DataError: as `prompt`.
        """
        spans = self.dialogue([*turns, Turn("assistant", text)])
        start = max(index + 1 for index, span in enumerate(spans) if not span.is_answer)
        return spans[start:]

    # -- texts and token ids of single prompts and answers ------------------------------------------------------------------------

    def prompt_text(self, turns: Sequence[Turn]) -> str:
        """Return the text before an answer, with the names of special tokens. Raises as `prompt`."""
        return "".join(span.text for span in self.prompt(turns))

    def prompt_ids(self, turns: Sequence[Turn]) -> list[int]:
        """Return the token ids before an answer: at least one. Raises as `prompt`."""
        return self.encode_prompt(self.prompt(turns))

    def encode_prompt(self, spans: Sequence[Span]) -> list[int]:
        """Return the token ids of a rendered prompt: at least one."""
        (encoded,) = encode_spans(self.tokenizer, [spans])
        return [int(index) for index in encoded.ids] or [self.tokenizer.special["end_of_text"]]

    def answer_ids(self, turns: Sequence[Turn], text: str) -> list[int]:
        """Return the token ids of an answer to a prompt, the last one is `end`. Raises as `prompt`."""
        (encoded,) = encode_spans(self.tokenizer, [self.answer(turns, text)])
        return [int(index) for index in encoded.ids]


def warn_of_joined_words(dialogues: Iterable[Sequence[Span]], split: str) -> None:
    """Warn if a prompt and its answer run into one word, because nothing stands between them."""
    count = joined = 0
    for spans in dialogues:
        count += 1
        pairs = [
            (before.text, after.text) for before, after in itertools.pairwise(spans) if after.is_answer and not before.is_answer
        ]
        joined += any(before[-1:].isalnum() and after[:1].isalnum() for before, after in pairs)
    if joined:
        _log.warning(
            "in %s of %s dialogues of the %s split, prompt and answer run into one word; mark the speakers with "
            "chat_template=chatml, or begin answers with a space",
            f"{joined:,}",
            f"{count:,}",
            split,
        )


def check_turns(turns: Sequence[Turn]) -> None:
    """Raise a DataError if a role is unknown, or a system message does not come first."""
    for index, turn in enumerate(turns):
        if turn.role not in ROLES:
            raise DataError(f"turn {index + 1} of a dialogue has the role {turn.role}; it must be one of {', '.join(ROLES)}")
        if turn.role == "system" and index:
            raise DataError(f"turn {index + 1} of a dialogue has the role system; a system message must come first")


@dataclass(frozen=True)
class EncodedDialogue:
    """A rendered dialogue as token ids (T,), and whether each of them belongs to an answer (T,)."""

    ids: Ids
    is_answer: NDArray[np.bool_]


def encode_spans(tokenizer: Tokenizer, dialogues: Iterable[Sequence[Span]]) -> Iterator[EncodedDialogue]:
    """Yield the token ids of rendered dialogues. Tokenises in chunks, on all cores if the tokenizer supports it.

    Adjacent ordinary texts are encoded together, unless an answer begins or ends between them. If nothing comes before the first
    answer, end-of-text does, because a model predicts tokens only after others.
    """
    source = iter(dialogues)
    while chunk := [_merge(spans) for spans in itertools.islice(source, DIALOGUES_PER_CHUNK)]:
        texts = [span.text for spans in chunk for span in spans if span.token is None]
        encoded = iter(tokenizer.encode_batch(texts))
        for spans in chunk:
            yield _assemble(tokenizer, spans, encoded)


def _merge(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in spans:
        last = merged[-1] if merged else None
        if last is not None and span.token is None and last.token is None and span.is_answer == last.is_answer:
            merged[-1] = Span(last.text + span.text, None, span.is_answer)
        else:
            merged.append(span)
    return merged


def _assemble(tokenizer: Tokenizer, spans: Sequence[Span], encoded: Iterator[NDArray[np.uint32]]) -> EncodedDialogue:
    ids: list[Ids] = [np.zeros(0, dtype=np.int64)]
    flags: list[bool] = []
    begins_with_answer = bool(spans) and spans[0].is_answer
    for span in spans:
        part = np.array([span.token], dtype=np.int64) if span.token is not None else next(encoded).astype(np.int64)
        if span.is_answer and not flags and not begins_with_answer:
            ids.append(np.array([tokenizer.special["end_of_text"]], dtype=np.int64))
            flags.append(False)
        ids.append(part)
        flags += [span.is_answer] * len(part)
    return EncodedDialogue(np.concatenate(ids), np.array(flags, dtype=np.bool_))
