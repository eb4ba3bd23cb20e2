"""Handle standard output and standard error that are closed, full, or read by a program that has exited.

Python prints "Exception ignored" if it cannot flush them at exit, and sets a stream that the shell closed to None.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import IO, Any

from gptkit.terminal import PrintableFormatter, printable

_NAMES = {"stdout": "standard output", "stderr": "standard error"}


def prepare_process() -> None:
    """Open streams that the shell closed (`>&-`), and escape control characters in log lines and warnings."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:  # otherwise, the next file that is opened would become standard output
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, "r" if descriptor == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(PrintableFormatter())
    format_warning = warnings.formatwarning
    warnings.formatwarning = lambda *args, **kwargs: printable(format_warning(*args, **kwargs))


def escape_unencodable_text() -> None:
    """Escape characters that cannot be encoded, such as surrogates of undecodable file names, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", "") == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def silent_logging() -> Iterator[None]:
    """Suppres the traceback that logging prints when a line cannot be written."""
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    finally:
        logging.raiseExceptions = before


def flush(status: int, *, output_error_reported: bool) -> int:
    """Flush the streams and return the exit status: 1 if they could not be written.

    Args:
        status: the exit status so far.
        output_error_reported: whether an error that standard output cannot be written was already printed.
    """
    for name in _NAMES:
        stream = getattr(sys, name)
        try:
            stream.flush()
        except BrokenPipeError:  # `gptkit plugins | head`
            status = status or 1
            _discard(stream)
        except (OSError, ValueError) as error:
            status = status or 1
            _discard(stream)
            if name == "stdout" and not output_error_reported:
                reason = error.strerror if isinstance(error, OSError) else "it is closed"
                print_to_stderr(f"gptkit: standard output: cannot be written ({reason})")
    return status


def is_stream_error(error: BaseException) -> bool:
    """Whether the error means that standard output or standard error cannot be written."""
    if isinstance(error, BrokenPipeError):
        return True
    if not isinstance(error, OSError) or error.filename is not None or error.errno not in (errno.ENOSPC, errno.EIO, errno.EBADF):
        return False
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()  # fails again, because the unwritten text is still in the buffer
        except (OSError, ValueError):
            return True
    return False


def print_to_stderr(line: str) -> None:
    """Print a line to standard error, if possible."""
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)


def _discard(stream: IO[Any]) -> None:
    """Discard what the stream has buffered and everything written later."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    with contextlib.suppress(OSError, ValueError):
        stream.flush()
