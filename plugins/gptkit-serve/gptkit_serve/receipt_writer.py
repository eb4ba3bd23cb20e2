"""Appends receipts to a file in a thread of its own, so that the server never waits for the disk."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from pathlib import Path

from gptkit.atomic_io import describe_write_error
from gptkit.errors import ConfigError
from gptkit.generation.text_sequence import TextSequence
from gptkit.user_files import expand_path
from gptkit_serve.loading import default_receipts
from gptkit_serve.receipts import Origin, Receipt

_log = logging.getLogger("gptkit")


class ReceiptWriter:
    """Appends one line per answer. Several servers can append to the same file.

    The lines that wait are written together, in one call. The file is opened for each of these calls, so that it can be moved or
    removed at any time. Only its owner can read it, since receipts contain prompts.
    """

    def __init__(self, path: Path, origin: Origin) -> None:
        """Start the thread.

        Raises:
            ConfigError: the file cannot be written.
        """
        self.path, self._origin = path, origin
        self._queue: queue.SimpleQueue[Receipt | None] = queue.SimpleQueue()
        self._has_failed = False
        self.failures = 0
        """The number of receipts that could not be written."""
        try:
            self._append(b"")
        except OSError as error:
            raise ConfigError(
                f"receipts={path} cannot be written ({error.strerror}); name another file, or set receipts=null"
            ) from error
        self._thread = threading.Thread(target=self._run, name="gptkit receipts", daemon=True)
        self._thread.start()

    def write(self, id: str, text: TextSequence, finish_reason: str) -> None:
        """Write the receipt of a text that has ended, or that its client has left. Returns at once."""
        self._queue.put(Receipt.of(id, text, finish_reason, origin=self._origin, time=time.time()))

    def close(self) -> None:
        """Write all receipts, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            receipts = [self._queue.get()]
            while not self._queue.empty():
                receipts.append(self._queue.get())
            is_open = None not in receipts
            written = [receipt for receipt in receipts if receipt is not None]
            if not written:
                continue
            try:
                self._append(b"".join(f"{receipt.model_dump_json()}\n".encode() for receipt in written))
                self._has_failed = False
            except (OSError, ValueError) as error:  # ValueError: a path that is no text, in a folder with such a name
                self.failures += len(written)
                reason = describe_write_error(error).partition(";")[0] if isinstance(error, OSError) else error
                if not self._has_failed:  # once, not for every answer
                    _log.warning("warning: %s: receipts are lost: %s", self.path, reason)
                self._has_failed = True

    def _append(self, lines: bytes) -> None:
        """Append lines, on a line of their own even if a crash has left an incomplete line."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if lines and size and os.pread(descriptor, 1, size - 1) != b"\n":
                lines = b"\n" + lines
            while lines:
                lines = lines[os.write(descriptor, lines) :]
        finally:
            os.close(descriptor)


def open_receipts(setting: str | None, origin: Origin | None) -> ReceiptWriter | None:
    """Return the writer for the setting `receipts`; None: there are no receipts.

    Raises:
        ConfigError: the file cannot be written.
    """
    if setting is None or origin is None:
        return None
    return ReceiptWriter(default_receipts(origin.checkpoint) if setting == "auto" else expand_path(setting), origin)
