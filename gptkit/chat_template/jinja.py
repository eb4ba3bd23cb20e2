"""Chat templates in Jinja2, as transformers renders them: which special tokens they write, and where answers begin and end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from gptkit.chat_template.base import ChatTemplate, Span
from gptkit.chat_template.sandbox import GENERATION_BEGINS, GENERATION_ENDS, TemplateRefusal, compile_template, render
from gptkit.errors import ConfigError, DataError
from gptkit.records import Turn

if TYPE_CHECKING:
    from gptkit.tokenizer.base import Tokenizer

_MESSAGE_MARK = "\ue0f2"
"""A private character before the names of special tokens in messages, which tells them from those that the template writes."""

_PRIVATE = {mark: f"\ue0f3{digit}" for digit, mark in enumerate((GENERATION_BEGINS, GENERATION_ENDS, _MESSAGE_MARK, "\ue0f3"))}
"""What the private characters of messages are replaced by while a template is rendered."""


class JinjaTemplate(ChatTemplate):
    """Answers are found by the block `{% generation %}`, if the template has it. Otherwise, an answer begins where the text of the
    turns before it ends, and ends with the next special token."""

    def __init__(self, text: str, tokenizer: Tokenizer, *, key: str, date: str | None = None) -> None:
        """
        Args:
            text: the template.
            tokenizer: the tokenizer whose special tokens the template may write.
            key: the config key that chooses the template, for error messages.
            date: see `gptkit.chat_template.sandbox.compile_template`.

        Raises:
            ConfigError: the template is not valid, or writes no special token after an answer.
        """
        self.jinja = text
        self.tokenizer = tokenizer
        self._key = key
        self._tokens = tokenizer.special_tokens()
        names = "|".join(re.escape(name) for name in sorted(self._tokens, key=lambda name: (-len(name), name)))
        self._written = re.compile(f"(?<!{_MESSAGE_MARK})(?:{names})|[{GENERATION_BEGINS}{GENERATION_ENDS}]")
        self._in_message = re.compile(f"(?=(?:{names}))")
        self._beginnings = {name[:size] for name in self._tokens for size in range(1, len(name))}
        self._longest_beginning = max(map(len, self._beginnings), default=0)
        try:
            self._template = compile_template(text, date)
        except TemplateError as error:
            line = getattr(error, "lineno", None)
            raise ConfigError(f"{key}: is not a Jinja2 template: {_first_line(error)}{f' (line {line})' if line else ''}") from None
        self.end = -1
        self.end = self._find_end()

    def render(self, turns: Sequence[Turn], *, add_generation_prompt: bool) -> list[Span]:
        text = self._render(turns, add_generation_prompt=add_generation_prompt)
        pieces = self._split(text)
        if GENERATION_BEGINS in text:
            return _merge_empty(self._marked_answers(pieces))
        starts = [self._answer_start(turns[:index], text) for index, turn in enumerate(turns) if turn.role == "assistant"]
        return _merge_empty(self._answers_from(pieces, starts))

    def text(self, turns: Sequence[Turn], *, add_generation_prompt: bool) -> str:
        """Return the text of turns, with the names of special tokens, as transformers renders it."""
        rendered = self._render(turns, add_generation_prompt=add_generation_prompt)
        return "".join(_restore(piece) for piece, _ in self._split(rendered) if piece not in (GENERATION_BEGINS, GENERATION_ENDS))

    # -- rendering ----------------------------------------------------------------------------------------------------------------

    def _render(self, turns: Sequence[Turn], *, add_generation_prompt: bool) -> str:
        """Return the text with private characters; see `_protect`."""
        messages = [{"role": turn.role, "content": self._protect(turn.text)} for turn in turns]
        variables = {
            **self.tokenizer.named_tokens(),
            "messages": messages,
            "add_generation_prompt": add_generation_prompt,
            "tools": None,
            "documents": None,
        }
        try:
            return render(self._template, variables)
        except TemplateRefusal as refusal:
            raise DataError(f"{self._key}: the template does not support this dialogue: {_first_line(refusal)}") from None
        except TemplateError as error:
            hint = "; set chat_template.date to a date" if "strftime_now" in str(error) else ""
            raise DataError(f"{self._key}: the template fails: {_first_line(error)}{hint}") from None

    def _protect(self, text: str) -> str:
        """Mark the names of special tokens in a message, and a start of one at its end, which the template could complete."""
        if any(mark in text for mark in _PRIVATE):
            text = "".join(_PRIVATE.get(character, character) for character in text)
        text = self._in_message.sub(_MESSAGE_MARK, text)
        body = len(text.rstrip())
        for start in range(max(0, body - self._longest_beginning), body):
            if text[start:body] in self._beginnings:
                return text[:start] + _MESSAGE_MARK + text[start:]
        return text

    def _split(self, text: str) -> list[tuple[str, int | None]]:
        """Split a rendered text into ordinary texts, special tokens with their ids, and marks of `{% generation %}`."""
        pieces: list[tuple[str, int | None]] = []
        position = 0
        for match in self._written.finditer(text):
            if match.start() > position:
                pieces.append((text[position : match.start()], None))
            pieces.append((match[0], self._tokens.get(match[0])))
            position = match.end()
        if position < len(text):
            pieces.append((text[position:], None))
        return pieces

    # -- answers ------------------------------------------------------------------------------------------------------------------

    def _answer_start(self, before: Sequence[Turn], text: str) -> int:
        """Return where the answer to the turns before it begins in the rendered text of the whole dialogue."""
        prompt = self._render(before, add_generation_prompt=True)
        if not text.startswith(prompt):
            raise DataError(
                f"{self._key}: the template changes earlier turns when a dialogue continues, so its answers cannot be found; "
                "mark them in the template with {% generation %} and {% endgeneration %}, or use dialogues of one exchange"
            )
        return len(prompt)

    def _answers_from(self, pieces: Sequence[tuple[str, int | None]], starts: Sequence[int]) -> list[Span]:
        """Return the spans, where an answer reaches from each start to the next special token."""
        spans: list[Span] = []
        waiting = list(starts)
        position, is_answer = 0, False
        for piece, token in pieces:
            end = position + len(piece)
            if not is_answer and waiting and waiting[0] < end:
                start = waiting.pop(0)
                if start > position:
                    spans.append(Span(_restore(piece[: start - position]), token))
                piece, is_answer = piece[start - position :], True
            spans.append(Span(_restore(piece) if token is None else piece, token, is_answer))
            if token is not None and is_answer:
                is_answer = False
            position = end
        if is_answer or waiting:
            raise self._no_end()
        return spans

    def _marked_answers(self, pieces: Sequence[tuple[str, int | None]]) -> list[Span]:
        """Return the spans, where an answer begins where the template marks it, and reaches to the next special token."""
        spans: list[Span] = []
        is_answer = False
        for piece, token in pieces:
            if piece in (GENERATION_BEGINS, GENERATION_ENDS):
                is_answer = is_answer or piece == GENERATION_BEGINS
                continue
            spans.append(Span(_restore(piece) if token is None else piece, token, is_answer))
            is_answer = is_answer and token is None
        if is_answer:
            raise self._no_end()
        return spans

    def _find_end(self) -> int:
        """Return the token that ends an answer, from a short dialogue."""
        probe = (Turn("user", "a"), Turn("assistant", "b"))
        try:
            spans = self.render(probe, add_generation_prompt=False)
        except DataError as error:
            raise ConfigError(str(error)) from None
        ends = [span.token for span in spans if span.is_answer and span.token is not None]
        if not ends:
            raise self._no_end()
        return ends[0]

    def _no_end(self) -> ConfigError:
        names = ", ".join(self._tokens)
        return ConfigError(
            f"{self._key}: the template writes no special token of the tokenizer after an answer, so a model would not learn to "
            f"end them; write {{{{ eos_token }}}} there, or use chat_template=chatml (special tokens: {names})"
        )


def _restore(text: str) -> str:
    """Return the ordinary text of a rendered text."""
    text = text.replace(_MESSAGE_MARK, "")
    if "\ue0f3" in text:
        for mark, replacement in _PRIVATE.items():
            text = text.replace(replacement, mark)
    return text


def _merge_empty(spans: list[Span]) -> list[Span]:
    """Return the spans with an empty text before an answer that nothing precedes."""
    return spans if spans and not spans[0].is_answer else [Span(""), *spans]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
