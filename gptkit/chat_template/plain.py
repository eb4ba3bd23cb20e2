"""The templates `plain` and `transcript`, which mark turns by ordinary text. An answer ends with end-of-text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gptkit.chat_template.base import ChatTemplate, Span
from gptkit.data.parsing.transcripts import ASSISTANT, HUMAN
from gptkit.errors import DataError
from gptkit.records import Turn
from gptkit.tokenizer.base import END_OF_TEXT

if TYPE_CHECKING:
    from gptkit.tokenizer.base import Tokenizer

PLAIN_JINJA = """\
{%- for message in messages -%}
{%- if message.role == 'system' -%}{{ message.content + '\\n\\n' }}
{%- elif message.role == 'user' -%}{{ message.content }}
{%- else -%}{{ message.content + eos_token }}
{%- endif -%}
{%- endfor -%}
"""

TRANSCRIPT_JINJA = """\
{%- for message in messages -%}
{%- if message.role == 'system' -%}{{ message.content + '\\n\\n' }}
{%- elif message.role == 'user' -%}{{ '\\n\\nHuman: ' + message.content }}
{%- else -%}{{ '\\n\\nAssistant: ' + (message.content[1:] if message.content[:1] == ' ' else message.content) + eos_token }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '\\n\\nAssistant:' }}{%- endif -%}
"""


class PlainTemplate(ChatTemplate):
    """The prompt, immediately followed by the answer. Speakers are not marked, so a dialogue has one exchange."""

    jinja = PLAIN_JINJA
    marks_answers = False

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.end = tokenizer.special["end_of_text"]

    def render(self, turns: Sequence[Turn], *, add_generation_prompt: bool) -> list[Span]:
        before = turns if add_generation_prompt else turns[:-1]
        system, rest = ("", before) if not before or before[0].role != "system" else (before[0].text + "\n\n", before[1:])
        if len(rest) > 1:
            raise several_exchanges()
        spans = [Span(system + "".join(turn.text for turn in rest))]
        return spans if add_generation_prompt else [*spans, *_answer(turns[-1].text, self.end)]

    def check_dialogue(self, turns: Sequence[Turn]) -> None:
        roles = [turn.role for turn in turns]
        if roles.count("assistant") > 1 or roles[-1] != "assistant":
            raise several_exchanges()


class TranscriptTemplate(ChatTemplate):
    """The speaker before every turn, as in `gptkit.data.parsing.transcripts`."""

    jinja = TRANSCRIPT_JINJA

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.end = tokenizer.special["end_of_text"]

    def render(self, turns: Sequence[Turn], *, add_generation_prompt: bool) -> list[Span]:
        spans: list[Span] = []
        for turn in turns:
            if turn.role == "system":
                spans.append(Span(turn.text + "\n\n"))
            elif turn.role == "user":
                spans.append(Span(f"{HUMAN} {turn.text}"))
            else:
                spans += [Span(ASSISTANT), *_answer(" " + turn.text.removeprefix(" "), self.end)]
        return [*spans, Span(ASSISTANT)] if add_generation_prompt else spans


def _answer(text: str, end: int) -> list[Span]:
    return [Span(text, None, True), Span(END_OF_TEXT, end, True)]


def several_exchanges() -> DataError:
    return DataError(
        "a dialogue has more than one exchange, and chat_template=plain does not mark the speakers; "
        "use chat_template=chatml or chat_template=transcript"
    )
