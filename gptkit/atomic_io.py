"""Files that survive a crash: written aside, synced to the disk, then renamed.

A reader finds the old content or the new, never a half.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from gptkit.errors import GptkitError

WRITING, OLD = ".writing-", ".old-"
"""Prefixes of the name of a folder that is being written, and of one that is being removed."""

DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def continue_command(run: Path) -> str:
    """The command that continues a run, as a shell takes it."""
    return f"gptkit train {shlex.quote(f'hydra.run.dir={run}')}"


def write_file(path: Path, text: str) -> None:
    """Replace a file's content at once.

    Raises:
        GptkitError: it cannot be written, as when the disk is full; the old content is still there.
    """
    aside = path.with_name(f".{path.name}.writing")
    with wrap_os_errors(path):
        remove_path(aside)
        try:
            with aside.open("x", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                remove_path(aside)
            raise
        sync_folder(path.parent)


@contextlib.contextmanager
def wrap_os_errors(path: Path) -> Iterator[None]:
    """Turns the system's error while `path` is written (a full disk, a missing permission) into one line that says what to do.

    Raises:
        GptkitError: instead of OSError.
    """
    try:
        yield
    except OSError as error:
        raise GptkitError(f"{path}: {describe_write_error(error)}") from error


def describe_write_error(error: OSError) -> str:
    """What keeps a file from being written, and what to do about it."""
    if error.errno in DISK_FULL_ERRORS:
        return "the disk is full; free some space, then go on with gptkit train hydra.run.dir=<the run>"
    return f"cannot be written ({error.strerror or error})"


def sync_folder(folder: Path) -> None:
    """Have the disk hold the folder's list of names."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Have the disk hold every file and folder below, and the folder itself."""
    for where, _, names in os.walk(folder, topdown=False):
        for name in names:
            descriptor = os.open(Path(where, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(where))


def replace_folder(written: Path, target: Path) -> None:
    """Give a synced folder its final name; what has the name already is moved aside first, then removed."""
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
    """Remove a folder so that no reader takes a half-removed one for a whole one: it loses its name first."""
    hidden = folder.with_name(f"{OLD}{folder.name}")
    remove_path(hidden)
    with contextlib.suppress(FileNotFoundError):
        folder.rename(hidden)
    remove_path(hidden)


def remove_path(path: Path) -> None:
    """Remove what has this name, if anything: a folder with all in it, of a link the link alone, never what it points to.

    What is left of a folder that cannot be removed whole is of no account: it has no name that is read.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def disk_error(error: BaseException) -> OSError | None:
    """The operating system's error behind one that a library raised while writing, if there is one."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno:
            return seen
        code = re.search(r"\(os error (\d+)\)", str(seen))  # how Rust libraries print it
        if code:
            return OSError(int(code[1]), os.strerror(int(code[1])))
        seen = seen.__cause__ or seen.__context__
    return None
