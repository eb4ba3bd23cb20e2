"""The commands of a conversation, such as /retry."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from gptkit.command.chat_files import load_dialogue, save_dialogue
from gptkit.constraint_checks import check_constraints
from gptkit.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from gptkit.command.chat_session import ChatSession

SETTABLE = ("temperature", "top_k", "top_p", "max_new_tokens", "stop", "seed")
"""The keys that /set changes."""


@dataclass(frozen=True)
class ChatAction:
    """A command of a conversation."""

    usage: str
    summary: str
    execute: Callable[[ChatSession, str], None]
    """Carries out the command with the text after its name."""


def _system(session: ChatSession, text: str) -> None:
    conversation = session.conversation
    if not text:
        session.show(conversation.system or "there is no system message")
        return
    conversation.set_system("" if text == "off" else text)
    session.confirm("the system message is set" if conversation.system else "there is no system message")


def _reset(session: ChatSession, text: str) -> None:
    conversation = session.conversation
    conversation.replace(conversation.messages[: bool(conversation.system)])
    session.forget()
    session.confirm("a new conversation begins" + (" with the same system message" if conversation.system else ""))


def _undo(session: ChatSession, text: str) -> None:
    message = session.conversation.undo()
    first_line = message.text.partition("\n")[0]
    session.confirm(f"removed with its answer: {first_line}")


def _retry(session: ChatSession, text: str) -> None:
    session.answer_again()


def _save(session: ChatSession, text: str) -> None:
    number = save_dialogue(text, session.conversation.messages)
    session.confirm(f"the conversation is line {number} of {text}")


def _load(session: ChatSession, text: str) -> None:
    messages = load_dialogue(text)
    session.conversation.replace(messages)
    session.forget()
    session.confirm(f"the conversation has {len(messages)} messages")
    for turn in messages:
        session.confirm(f"{turn.role}: {turn.text}")
    if messages[-1].role == "user":
        session.answer_again()


def _set(session: ChatSession, text: str) -> None:
    changes: dict[str, object] = {}
    for assignment in re.split(r"\s+(?=\w+=)", text) if text else []:
        key, sign, value = assignment.partition("=")
        if key not in SETTABLE:
            hint = did_you_mean(key, SETTABLE) or f" Keys are {', '.join(SETTABLE)}"
            raise ConfigError(f"/set does not change {key}.{hint}")
        if not sign:
            raise ConfigError(f"/set {key}: write /set {key}=<value>")
        try:
            parsed = OmegaConf.to_container(OmegaConf.from_dotlist([f"{key}={value}"]), resolve=False)
        except (OmegaConfBaseException, YAMLError, ValueError):
            raise ConfigError(f"/set {key}={value}: the value cannot be read; write texts in quotes") from None
        assert isinstance(parsed, dict)
        changes[key] = parsed[key]
    settings = dataclasses.replace(session.settings, **changes)  # type: ignore[arg-type]  # checked below
    check_constraints(settings)
    if not all(settings.stop):
        raise ConfigError("stop holds an empty text, which would end every answer before it begins")
    session.settings = settings
    shown = changes or dict.fromkeys(SETTABLE)
    (session.confirm if changes else session.show)(" ".join(f"{key}={getattr(settings, key)}" for key in shown))


def _help(session: ChatSession, text: str) -> None:
    width = max(len(action.usage) for action in COMMANDS.values())
    session.show("\n".join(f"  {action.usage:{width}}  {action.summary}" for action in COMMANDS.values()))


def _exit(session: ChatSession, text: str) -> None:
    session.has_ended = True


COMMANDS = {
    "system": ChatAction("/system <text>", "set the system message; /system off removes it, /system shows it", _system),
    "reset": ChatAction("/reset", "begin a new conversation with the same system message", _reset),
    "undo": ChatAction("/undo", "remove the last message and its answer", _undo),
    "retry": ChatAction("/retry", "replace the last answer by another one", _retry),
    "save": ChatAction("/save <file>.jsonl", "add the conversation to a file, as data=dialogues reads it", _save),
    "load": ChatAction("/load <file>.jsonl <line>", "continue a conversation of a file; without a line, the last one", _load),
    "set": ChatAction("/set temperature=0.7", f"change {', '.join(SETTABLE)}; /set shows them", _set),
    "help": ChatAction("/help", "list the commands", _help),
    "exit": ChatAction("/exit", "end, like Ctrl-D", _exit),
}
