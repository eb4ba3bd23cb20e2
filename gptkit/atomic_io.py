"""Write files and folders atomically: under a temporary name first, synced to the disk, then renamed.

After a crash a reader sees either the old content or the new, never part of it.
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
"""Name prefixes of folders that are being written, and of folders that are being removed."""

DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def continue_command(run: Path) -> str:
    """Returns the command that continues a run, quoted for a shell."""
    return f"gptkit train {shlex.quote(f'hydra.run.dir={run}')}"


def write_file(path: Path, text: str) -> None:
    """Replaces a file's content atomically.

    Raises:
        GptkitError: the file cannot be written, for example because the disk is full; its old content is unchanged.
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
    """Converts operating system errors while `path` is written (disk full, no permission) to a GptkitError of one line.

    Raises:
        GptkitError: in place of any OSError; says how to fix it.
    """
    try:
        yield
    except OSError as error:
        raise GptkitError(f"{path}: {describe_write_error(error)}") from error


def describe_write_error(error: OSError) -> str:
    """Returns why a file cannot be written and, where possible, how to fix it."""
    if error.errno in DISK_FULL_ERRORS:
        return "the disk is full; free some space, then continue with gptkit train hydra.run.dir=<the run>"
    return f"cannot be written ({error.strerror or error})"


def sync_folder(folder: Path) -> None:
    """Syncs a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Syncs a folder and every file and folder below it to the disk."""
    for where, _, names in os.walk(folder, topdown=False):
        for name in names:
            descriptor = os.open(Path(where, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(where))


def replace_folder(written: Path, target: Path) -> None:
    """Renames a synced folder to its final name; whatever has that name is renamed first, and removed afterwards."""
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
    """Removes a folder; it is renamed first, so that no reader sees it partly removed."""
    hidden = folder.with_name(f"{OLD}{folder.name}")
    remove_path(hidden)
    with contextlib.suppress(FileNotFoundError):
        folder.rename(hidden)
    remove_path(hidden)


def remove_path(path: Path) -> None:
    """Removes a file, a folder with its content, or a link (not its target), if it exists.

    Ignores errors while removing a folder: nothing reads what is left, because folders are renamed before they are removed.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def disk_error(error: BaseException) -> OSError | None:
    """Returns the operating system error that caused an exception of a library, or None where there is none."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno:
            return seen
        code = re.search(r"\(os error (\d+)\)", str(seen))  # how Rust libraries print it
        if code:
            return OSError(int(code[1]), os.strerror(int(code[1])))
        seen = seen.__cause__ or seen.__context__
    return None
