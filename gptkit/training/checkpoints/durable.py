"""Files that survive a crash: written aside, synced to the disk, then renamed.

A reader finds the old content or the new, never a half.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from gptkit.errors import GptkitError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_file(path: Path, text: str) -> None:
    """Replace a file's content at once.

    Raises:
        GptkitError: the disk is full; the old content is still there.
    """
    aside = path.with_name(f".{path.name}.writing")
    try:
        with named_when_full(path):
            with aside.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def named_when_full(path: Path) -> Iterator[None]:
    """Turns the system's error of a full disk into one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise GptkitError(f"{path}: the disk is full; free some space and run the same command again") from error
        raise


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
    """Give a synced folder its final name; a folder that has the name already is moved aside first, then removed."""
    if target.exists():
        old = target.with_name(f".old-{target.name}")
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        written.rename(target)
        sync_folder(target.parent)
        shutil.rmtree(old, ignore_errors=True)
        return
    written.rename(target)
    sync_folder(target.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder so that no reader takes a half-removed one for a whole one: it loses its name first."""
    hidden = folder.with_name(f".old-{folder.name}")
    shutil.rmtree(hidden, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        folder.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


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
