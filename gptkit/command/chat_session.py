"""One session of the command `chat`: carries out messages and commands, and prints the answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gptkit.command.chat_commands import COMMANDS
from gptkit.command.generate import answer_as_json
from gptkit.errors import DataError, did_you_mean
from gptkit.generation.conversation import ChatPrompt, Conversation
from gptkit.generation.sampling import SamplingParams
from gptkit.generation.text_sequence import TextChunk
from gptkit.terminal import print_text, write_result

if TYPE_CHECKING:
    from gptkit.command.chat_config import ChatCommand


class ChatSession:
    """Results go to standard output, and notes to standard error. Confirmations are printed in a terminal only."""

    def __init__(self, settings: ChatCommand, conversation: Conversation, *, is_terminal: bool) -> None:
        self.settings = settings
        """The settings of the command line, or those that /set has changed."""
        self.conversation = conversation
        self.has_ended = False
        self._is_terminal = is_terminal
        self._is_stopped: Callable[[], bool] = lambda: False
        self._notes_made: set[str] = set()

    def handle(self, line: str, *, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Answer a message, or carry out a command. A message that begins with a slash is written with two.

        Args:
            line: what the user typed, possibly several lines.
            is_stopped: called between tokens. If it returns true, the answer ends.

        Raises:
            ConfigError: the command sets an invalid value.
            DataError: the command or the message cannot be used.
        """
        self._is_stopped = is_stopped
        if not line.startswith("/") or line.startswith("//"):
            message = line.removeprefix("/").encode("utf-8", "replace").decode("utf-8")
            self._print_answer(*self.conversation.ask(message, self._params(), is_stopped=is_stopped))
            return
        name, _, argument = line[1:].partition(" ")
        name = name.strip()
        if name not in COMMANDS:
            raise DataError(
                f"there is no command /{name}.{did_you_mean(name, COMMANDS).replace('mean ', 'mean /')} /help lists the commands; "
                "write // at the beginning of a message that begins with a slash"
            )
        COMMANDS[name].execute(self, argument.strip())

    def answer_again(self) -> None:
        """Answer the last message again, and print the answer."""
        before = self.conversation.turns
        self._print_answer(*self.conversation.retry(self._params(), is_stopped=self._is_stopped))
        if self.settings.temperature == 0 and self.conversation.turns == before:
            self.note("at temperature=0 the answer is always the same; /set temperature=1 allows others", once="greedy")

    def forget(self) -> None:
        """Forget which notes were printed, because a new conversation begins."""
        self._notes_made.clear()

    def note(self, text: str, *, once: str = "") -> None:
        """Print a line to standard error.

        Args:
            text: the line.
            once: if set, a note of the same name is printed only once in a conversation.
        """
        if once and once in self._notes_made:
            return
        self._notes_made.add(once)
        print_text(f"gptkit: {text}", sys.stderr)

    def confirm(self, text: str) -> None:
        """Print a note in a terminal only."""
        if self._is_terminal:
            self.note(text)

    def show(self, text: str) -> None:
        """Print the result of a command: to standard output in a terminal, and otherwise, where answers are, to standard error."""
        print_text(text, sys.stdout if self._is_terminal else sys.stderr)

    def _params(self) -> SamplingParams:
        settings = self.settings
        return SamplingParams(
            settings.max_new_tokens, settings.temperature, settings.top_k, settings.top_p, tuple(settings.stop), settings.seed
        )

    def _print_answer(self, prompt: ChatPrompt, chunks: Iterator[TextChunk]) -> None:
        if prompt.dropped and self.conversation.has_memory:
            self.note(
                f"the context of {self.conversation.context:,} tokens is full: from now on, the model does not read the oldest "
                "messages and their answers",
                once="dropped",
            )
        is_blank = self._is_terminal  # the space with which an answer begins in some templates is not shown in a terminal
        for chunk in chunks:
            if self.settings.format == "text":
                text = chunk.text.lstrip() if is_blank else chunk.text
                is_blank = is_blank and not text
                write_result(text)
            if chunk.finished is None:
                continue
            if self.settings.format == "json":
                write_result(answer_as_json(chunk.finished, prompt.turns) + "\n")
            else:
                write_result("\n")
            reason, count = chunk.finished.finish_reason, len(chunk.finished.tokens)
            if reason == "stopped":
                self.note("stopped" if chunk.finished.text else "stopped before the answer began; the message is discarded")
            elif reason == "length":
                self.note(f"answers end at max_new_tokens={count}; /set max_new_tokens={2 * count} allows longer ones", once=reason)
            elif reason == "context":
                self.note(f"the answer ended after {count} tokens, because the context is full")
