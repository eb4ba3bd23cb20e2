"""A program in a pseudo-terminal: the test types, and reads the screen."""

from __future__ import annotations

import contextlib
import functools
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence

PATIENCE = 120
"""Seconds after which a test fails because the program does not print what is expected."""


class PseudoTerminal:
    """The keyboard and the screen of a program."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process, self._descriptor = process, descriptor
        self._unread = ""

    def type(self, text: str) -> None:
        """Sends keys; the Enter key is `\\r`."""
        os.write(self._descriptor, text.encode())

    def read_until(self, pattern: str) -> str:
        """Waits until the screen shows a regular expression, and returns what was printed since the last call, without escapes."""
        deadline = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self._unread)):
            ready = select.select([self._descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]
            try:
                content = os.read(self._descriptor, 4096) if ready else b""
            except OSError:  # the program has ended
                content = b""
            assert content, f"the program does not print {pattern!r} after {self._unread!r}"
            new = content.decode("utf-8", "replace")
            self._unread = re.sub(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>])", "", self._unread + new).replace("\r", "")
        printed, self._unread = self._unread[: match.end()], self._unread[match.end() :]
        return printed


@contextlib.contextmanager
def pseudo_terminal(words: Sequence[str], environment: Mapping[str, str]) -> Iterator[PseudoTerminal]:
    """Starts a program in a terminal of its own, and ends it after the test."""
    keyboard, screen = pty.openpty()
    process = subprocess.Popen(words, env={**os.environ, **environment}, preexec_fn=functools.partial(_log_in, screen))
    os.close(screen)
    try:
        yield PseudoTerminal(process, keyboard)
    finally:
        process.kill()
        process.wait()
        os.close(keyboard)


def _log_in(screen: int) -> None:
    """Makes the terminal that of this process. A background job of a shell inherits ignored interrupts, unlike a terminal."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.login_tty(screen)
