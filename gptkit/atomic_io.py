"""Write files and folders atomically: write under a temporary name, sync to the disk, then rename.

After a crash, a reader sees either the old content or the new content, never a part of it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import shlex
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from gptkit.errors import GptkitError

WRITING, OLD = ".writing-", ".old-"
"""Name prefixes of folders that are being written, and of folders that are being removed."""

_log = logging.getLogger("gptkit")

DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def continue_command(run: Path) -> str:
    """Return the command that continues a run, quoted for a shell."""
    return f"gptkit train {shlex.quote(f'hydra.run.dir={run}')}"


def write_file(path: Path, text: str) -> None:
    """Replace a file's content atomically.

    Raises:
        GptkitError: the file cannot be written, for example because the disk is full; its old content is unchanged.
    """
    temporary = path.with_name(f".{path.name}.writing")
    with wrap_os_errors(path):
        remove_path(temporary)
        try:
            with temporary.open("x", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                remove_path(temporary)
            raise
        sync_folder(path.parent)


@contextlib.contextmanager
def wrap_os_errors(path: Path) -> Iterator[None]:
    """Convert operating system errors that occur while `path` is written, such as a full disk, to a `GptkitError`.

    Raises:
        GptkitError: replaces any OSError. The message is one line and says how to fix the problem.
    """
    try:
        yield
    except OSError as error:
        raise GptkitError(f"{path}: {describe_write_error(error)}") from error


def describe_write_error(error: OSError) -> str:
    """Return why a file cannot be written and, where possible, how to fix it."""
    if error.errno in DISK_FULL_ERRORS:
        return "the disk is full; free some space, then continue with gptkit train hydra.run.dir=<the run>"
    return f"cannot be written ({error.strerror or error})"


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Sync a folder and every file and folder below it to the disk."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            descriptor = os.open(Path(parent, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(parent))


def replace_folder(written: Path, target: Path) -> None:
    """Rename a synced folder to its final name. An existing file or folder of that name is moved aside first and removed last."""
    if os.path.lexists(target):
        old = target.with_name(f"{OLD}{target.name}")
        remove_path(old)
        target.rename(old)
        written.rename(target)
        sync_folder(target.parent)
        remove_path(old)
        return
    written.rename(target)
    sync_folder(target.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder. Renames it first, so that no reader sees a partly removed folder."""
    hidden = folder.with_name(f"{OLD}{folder.name}")
    remove_path(hidden)
    with contextlib.suppress(FileNotFoundError):
        folder.rename(hidden)
    remove_path(hidden)


@contextlib.contextmanager
def interrupt_on_termination() -> Iterator[None]:
    """Context in which SIGTERM raises KeyboardInterrupt, as Ctrl-C does, so that blocks that remove unfinished files run."""
    if threading.current_thread() is not threading.main_thread():  # Python allows signal handlers only there
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def try_lock(descriptor: int) -> bool:
    """Lock an open file or folder without waiting, and return False if another process holds the lock.

    The lock ends when the descriptor is closed in every process that has it. A file system without locks counts as locked.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def remove_path(path: Path) -> None:
    """Remove a file, a folder with its content, or a link (not its target), if it exists.

    Errors while removing a folder are ignored: folders are renamed before they are removed, so nothing reads what is left.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def move_aside(path: Path, reason: object) -> None:
    """Rename a file that cannot be used, so that a new one can be written and nothing is lost."""
    target = path.with_name(f"{path.name}.damaged")
    number = 1
    while os.path.lexists(target):
        number += 1
        target = path.with_name(f"{path.name}.damaged-{number}")
    path.rename(target)
    _log.warning("warning: %s: %s; renamed it to %s", path, reason, target.name)


def disk_error(error: BaseException) -> OSError | None:
    """Return the operating system error that caused an exception, or None if there is none."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            return cause
        code = re.search(r"\(os error (\d+)\)", str(cause))  # the format of Rust libraries
        if code:
            return OSError(int(code[1]), os.strerror(int(code[1])))
        cause = cause.__cause__ or cause.__context__
    return None
