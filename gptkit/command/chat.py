"""The command `chat`: a conversation in a terminal, or one that is read from standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gptkit.errors import ConfigError, DataError, GptkitError
from gptkit.records import Turn

if TYPE_CHECKING:
    from gptkit.chat_template.base import ChatTemplate
    from gptkit.command.chat_config import ChatCommand
    from gptkit.command.text_model import TextModel


def chat(settings: ChatCommand) -> tuple[Turn, ...]:
    """Hold a conversation until /exit or the end of the input, and return its messages.

    Raises:
        ConfigError: the settings cannot be used with the model, or a line of standard input changes one to an invalid value.
        CheckpointError: the checkpoint cannot be read.
        DataError: a line of standard input cannot be used.
        GptkitError: standard input is a terminal, and prompt_toolkit is not installed.
    """
    if not all(settings.stop):
        raise ConfigError("stop holds an empty text, which would end every answer before it begins")
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if is_terminal:
        from gptkit.command.chat_terminal import Terminal

        terminal = Terminal(keeps_history=settings.history)

    from gptkit.command.chat_session import ChatSession
    from gptkit.command.text_model import load_text_model
    from gptkit.generation.conversation import Conversation

    loaded = load_text_model(settings.checkpoint)
    template, description = _chat_template(settings, loaded)
    model = loaded.prepare(settings.precision)
    try:
        conversation = Conversation(model, template, system=settings.system)
    except DataError as error:
        raise ConfigError(f"system: {error}") from None
    session = ChatSession(settings, conversation, is_terminal=is_terminal)
    if is_terminal:
        session.note(f"{settings.checkpoint}, {description}, context of {model.context:,} tokens")
    if not conversation.has_memory:
        session.note(
            f"{description} holds one exchange: the model reads each message alone; chat_template=transcript or "
            "chat_template=chatml remembers the conversation"
        )
    if is_terminal:
        session.note("/help lists the commands, Alt+Enter begins a line, Ctrl-C stops an answer, Ctrl-D ends the conversation")
        for message in terminal.messages():
            with terminal.interrupts() as is_interrupted:
                try:
                    session.handle(message, is_stopped=is_interrupted)
                except GptkitError as error:
                    session.note(str(error))
            if session.has_ended:
                break
    else:
        for number, line in _lines():
            try:
                session.handle(line)
            except GptkitError as error:
                raise type(error)(f"standard input:{number}: {error}") from None
            if session.has_ended:
                break
    return conversation.messages


def _chat_template(settings: ChatCommand, loaded: TextModel) -> tuple[ChatTemplate, str]:
    """Return the template of the settings, or else that of the model, or else `plain`; and its description."""
    from gptkit.chat_template import PlainConfig
    from gptkit.chat_template.choice import config_of

    config = settings.chat_template or config_of(loaded.run, loaded.tokenizer)
    is_missing = config is None
    config = config or PlainConfig()
    description = f"chat_template={config.name}" + (" (the model has none)" if is_missing else "")
    return config.build(tokenizer=loaded.tokenizer), description


def _lines() -> Iterator[tuple[int, str]]:
    """Yield the lines of standard input that are not blank, with their numbers."""
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            text = line.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise DataError(f"standard input:{number}: not UTF-8 text at byte {error.start}") from None
        if text.strip():
            yield number, text
