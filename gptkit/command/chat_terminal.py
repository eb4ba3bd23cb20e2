"""The terminal of the command `chat`: typed messages with editing and history, and Ctrl-C while an answer is generated."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType

from gptkit.command.chat_commands import COMMANDS, SETTABLE
from gptkit.errors import GptkitError
from gptkit.terminal import print_text

try:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import FileHistory, History, InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.shortcuts import CompleteStyle
except ModuleNotFoundError as error:
    raise GptkitError(
        "gptkit chat in a terminal needs the package prompt_toolkit; install it: pip install 'gptkit[chat]' (without it, standard "
        "input may be a file or a pipe with one message per line)"
    ) from error

PROMPT = "> "


class Terminal:
    """Reads messages. Enter sends a message, Alt+Enter begins a line, and pasted lines remain one message."""

    def __init__(self, *, keeps_history: bool) -> None:
        """
        Args:
            keeps_history: whether to keep what is typed in a file.
        """
        self._prompt: PromptSession[str] = PromptSession(
            PROMPT,
            multiline=True,
            prompt_continuation=" " * len(PROMPT),
            key_bindings=_key_bindings(),
            history=_open_history() if keeps_history else InMemoryHistory(),
            completer=CommandCompleter(),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            enable_suspend=True,
        )

    def messages(self) -> Iterator[str]:
        """Yield what the user types, until Ctrl-D. Ctrl-C discards what was typed."""
        while True:
            try:
                print_text("")
                text = self._prompt.prompt()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if text.strip():
                yield text

    @contextlib.contextmanager
    def interrupts(self) -> Iterator[Callable[[], bool]]:
        """Return a function that says whether Ctrl-C was pressed in the meantime. The second Ctrl-C ends the program."""
        pressed = False

        def press(number: int, frame: FrameType | None) -> None:
            nonlocal pressed
            if pressed:
                raise KeyboardInterrupt
            pressed = True

        before = signal.signal(signal.SIGINT, press)
        try:
            yield lambda: pressed
        finally:
            signal.signal(signal.SIGINT, before)


def history_path() -> Path:
    """Return the file of typed messages: gptkit/chat_history in $XDG_STATE_HOME, by default ~/.local/state."""
    folder = os.environ.get("XDG_STATE_HOME", "")
    state = Path(folder) if os.path.isabs(folder) else Path(os.path.expanduser("~/.local/state"))
    return state / "gptkit" / "chat_history"


class MessageHistory(FileHistory):
    """Typed messages in a file. A full disk does not end a conversation."""

    def store_string(self, string: str) -> None:
        with contextlib.suppress(OSError):
            super().store_string(string.encode("utf-8", "replace").decode("utf-8"))


def _open_history() -> History:
    """Return the history in `history_path`, which only the user can read, or one of this session if the file cannot be written."""
    path = history_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600))
    except OSError:
        return InMemoryHistory()
    return MessageHistory(path)


def _key_bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @bindings.add("escape", "enter")
    def begin_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return bindings


class CommandCompleter(Completer):
    """Completes commands, keys of /set, and names of files."""

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        typed = document.text_before_cursor
        command, space, rest = typed.partition(" ")
        if not typed.startswith("/") or "\n" in typed:
            return
        if not space:
            yield from (Completion(f"/{name}", -len(typed)) for name in COMMANDS if f"/{name}".startswith(typed))
        elif command == "/set":
            word = rest.rpartition(" ")[2]
            yield from (Completion(f"{key}=", -len(word)) for key in SETTABLE if key.startswith(word))
        elif command in ("/save", "/load"):
            yield from PathCompleter(expanduser=True).get_completions(Document(rest), complete_event)
