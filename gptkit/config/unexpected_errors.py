"""Report unexpected exceptions in one line that names the plugin at fault, and write the traceback into the run folder."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from gptkit.config.standard_streams import print_to_stderr
from gptkit.plugin_origin import Origin
from gptkit.terminal import one_line

FILE = "traceback.txt"
"""The file in a run folder to which the traceback is written."""

_MAX_MESSAGE_LENGTH = 300


def report_unexpected_error(error: BaseException) -> int:
    """Print one line, write the traceback into the run folder if there is one, and return the exit status."""
    message = next((line.strip() for line in _message(error).splitlines() if line.strip()), "")
    message = message if len(message) <= _MAX_MESSAGE_LENGTH else f"{message[:_MAX_MESSAGE_LENGTH]}..."
    origin = plugin_of(error)
    where = "" if origin is None else f" in the plugin {origin.display_name}"
    file = _write_traceback(error)
    shows = f"{file} shows where" if file is not None else "HYDRA_FULL_ERROR=1 shows where"
    print_to_stderr(one_line(f"gptkit: unexpected {type(error).__name__}{where}{': ' if message else ''}{message}; {shows}"))
    return 1


def plugin_of(error: BaseException) -> Origin | None:
    """Return the installed plugin with the innermost frame of the traceback; None if no frame belongs to a plugin."""
    from gptkit.plugins import plugin_packages

    owners = plugin_packages()
    modules = [str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    origins = (owners[top] for module in reversed(modules) if (top := module.partition(".")[0]) in owners)
    return next(origins, None)


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"it exited the process with {error.code!r}"
    try:
        return str(error)
    except Exception:  # the __str__ of a plugin's exception may fail, too
        return ""


def _write_traceback(error: BaseException) -> Path | None:
    """Write the traceback and return its file; None if the run has no folder, or the file cannot be written."""
    hydra_run = sys.modules.get("gptkit.config.hydra_run")
    folder: Path | None = hydra_run.run_folder() if hydra_run is not None else None
    if folder is None or not folder.is_dir():
        return None
    rank = os.environ.get("LOCAL_RANK", "0")
    path = folder / (FILE if rank == "0" else f"traceback-{rank}.txt")
    try:
        path.write_text("".join(_traceback_lines(error)), encoding="utf-8", errors="backslashreplace")
    except OSError:
        return None
    return path


def _traceback_lines(error: BaseException) -> Iterator[str]:
    try:
        yield from traceback.format_exception(error)
    except Exception:  # the exception cannot be formatted
        yield from traceback.format_tb(error.__traceback__)
        yield f"{type(error).__name__}\n"
