"""The chat template: converts dialogues and prompts to text, and the text to token ids. The config key is `objective.template`.

`plain` writes one exchange as a document: the prompt, immediately followed by the response. `transcript` writes the speaker
before every turn, as defined in `gptkit.data.parsing.transcripts`. Both put a system message first, followed by a blank line.

A prompt and its response are encoded separately, so that the boundary between their tokens is the same in training, where the
response is known, and in sampling, where it is not. A response ends with end-of-text. An empty prompt is encoded as end-of-text.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from gptkit.data.parsing.transcripts import ASSISTANT, HUMAN
from gptkit.errors import DataError
from gptkit.records import Dialogue, Turn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gptkit.tokenizer.base import Tokenizer

    Ids = NDArray[np.int64]

TEMPLATES = ("plain", "transcript")

ROLES = ("system", "user", "assistant")

TEXTS_PER_CHUNK = 8192
"""The number of texts that are tokenised at a time."""


# -- text -------------------------------------------------------------------------------------------------------------------------


def prompt_text(turns: Sequence[Turn], template: str) -> str:
    """Return the text before a response. In `plain`, a prompt without turns is empty.

    Raises:
        DataError: the last turn is the assistant's, a role is unknown or out of place, or `plain` gets a dialogue.
    """
    _check_roles(turns)
    if turns and turns[-1].role == "assistant":
        raise DataError("a prompt ends with a turn of the assistant; it must end before the assistant's answer")
    if template == "plain":
        return _plain_prompt(turns)
    return "".join(_transcript_turn(turn) for turn in turns) + ASSISTANT


def response_text(text: str, template: str) -> str:
    """Return the text of the response after its prompt: unchanged in `plain`, with one leading space in `transcript`."""
    return text if template == "plain" else " " + text.removeprefix(" ")


def render_dialogue(dialogue: Dialogue, template: str) -> list[tuple[str, bool]]:
    """Split the text of a dialogue into prompts and responses, in order; the flag is True for responses.

    A prompt, possibly empty, comes before every response. Turns after the last response are left out.

    Raises:
        DataError: there is no response, a role is unknown or out of place, or `plain` gets several exchanges.
    """
    _check_roles(dialogue.turns)
    answers = [index for index, turn in enumerate(dialogue.turns) if turn.role == "assistant"]
    if not answers:
        raise DataError("a dialogue has no turn of the assistant, so there is nothing to learn")
    if template == "plain" and (len(answers) > 1 or len(dialogue.turns) > answers[0] + 1):
        raise _several_exchanges()
    texts, start = [], 0
    for index in answers:
        texts.append((prompt_text(dialogue.turns[start:index], template), False))
        texts.append((response_text(dialogue.turns[index].text, template), True))
        start = index + 1
    return texts


def _plain_prompt(turns: Sequence[Turn]) -> str:
    """Return the user message, after the system message and a blank line if there is one."""
    system, rest = ("", turns) if not turns or turns[0].role != "system" else (turns[0].text + "\n\n", turns[1:])
    if len(rest) > 1:
        raise _several_exchanges()
    return system + "".join(turn.text for turn in rest)


def _several_exchanges() -> DataError:
    return DataError(
        "a dialogue has more than one exchange, and objective.template=plain does not mark the speakers; "
        "use objective.template=transcript"
    )


def _transcript_turn(turn: Turn) -> str:
    if turn.role == "system":
        return turn.text + "\n\n"
    return f"{HUMAN if turn.role == 'user' else ASSISTANT} {turn.text}"


def _check_roles(turns: Sequence[Turn]) -> None:
    for index, turn in enumerate(turns):
        if turn.role not in ROLES:
            raise DataError(f"turn {index + 1} of a dialogue has the role {turn.role}; it must be one of {', '.join(ROLES)}")
        if turn.role == "system" and index:
            raise DataError(f"turn {index + 1} of a dialogue has the role system; a system message must come first")


# -- token ids --------------------------------------------------------------------------------------------------------------------


def prompt_ids(tokenizer: Tokenizer, turns: Sequence[Turn], template: str) -> list[int]:
    """Return the token ids before a response; at least one.

    Earlier responses end with end-of-text, as they do in training.

    Raises:
        DataError: the turns do not fit the template.
    """
    end_of_text = tokenizer.special["end_of_text"]
    answered = max((index + 1 for index, turn in enumerate(turns) if turn.role == "assistant"), default=0)
    if template == "plain" or answered in (0, len(turns)):  # there is no earlier response, or `prompt_text` raises
        return tokenizer.encode(prompt_text(turns, template)) or [end_of_text]
    ids: list[int] = []
    for text, is_response in render_dialogue(Dialogue(tuple(turns[:answered])), template):
        ids += tokenizer.encode(text)
        if is_response or not ids:
            ids.append(end_of_text)
    return ids + tokenizer.encode(prompt_text(turns[answered:], template))


def response_ids(tokenizer: Tokenizer, text: str, template: str) -> list[int]:
    """Return the token ids of a response, including its end-of-text."""
    return [*tokenizer.encode(response_text(text, template)), tokenizer.special["end_of_text"]]


def encode_texts(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[Ids]:
    """Yield the token ids (T,) of each text. Tokenises in chunks, on all cores if the tokenizer supports it."""
    source = iter(texts)
    while chunk := list(itertools.islice(source, TEXTS_PER_CHUNK)):
        yield from (ids.astype("int64") for ids in tokenizer.encode_batch(chunk))
