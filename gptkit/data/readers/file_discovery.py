"""From what the user wrote as `data.path` to the list of files."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gptkit.errors import ConfigError, DataError, did_you_mean
from gptkit.user_files import check_regular_file, expand_path, unreadable_file_error

FORMATS = (".txt", ".md", ".jsonl", ".parquet")
"""The formats that hold documents. All but .parquet may be compressed."""
COMPRESSIONS = (".gz", ".zst")


def file_format(path: Path, forms: Sequence[str] = FORMATS) -> str | None:
    """The format that the name says, one of `forms`; None for any other file."""
    name = path.name.lower()
    for compression in COMPRESSIONS:
        if name.endswith(compression):
            name = name.removesuffix(compression)
            break
    else:
        return next((form for form in forms if name.endswith(form)), None)
    return next((form for form in forms if form != ".parquet" and name.endswith(form)), None)


def find_files(paths: Any, *, key: str = "data.path", forms: Sequence[str] = FORMATS) -> list[Path]:
    """The files meant by paths, globs and folders: in the order given, folders and globs sorted, each file once.

    Args:
        key: where the user wrote them, for errors.
        forms: the formats that count.

    Raises:
        ConfigError: `paths` is no text and no list of texts.
        DataError: something is not there, matches nothing, or is no format that can be read.
    """
    wanted = [paths] if isinstance(paths, str) else paths
    if not isinstance(wanted, list | tuple) or not wanted or not all(isinstance(each, str) and each for each in wanted):
        raise ConfigError(f"{key}={paths} must be a file, glob or folder, or a list of them")
    result: dict[str, Path] = {}
    for each in wanted:
        for path in _expand_path(each, key, forms):
            result.setdefault(os.path.realpath(path), path)
    return list(result.values())


def find_splits(train: Any, validation: Any, test: Any, *, forms: Sequence[str]) -> dict[str, list[Path]]:
    """The files of every split that is given, those for training always: what `data.path`, `data.validation` and `data.test` mean.

    Raises:
        ConfigError: as `find_files`.
        DataError: as `find_files`, or a file is in two splits: what is learned from may not be what is measured on.
    """
    keys = {"train": "data.path", "validation": "data.validation", "test": "data.test"}
    given = {"train": train, "validation": validation, "test": test}
    result = {split: find_files(paths, key=keys[split], forms=forms) for split, paths in given.items() if split == "train" or paths}
    owners: dict[str, str] = {}
    for split, files in result.items():
        for path in files:
            other = owners.setdefault(os.path.realpath(path), split)
            if other != split:
                raise DataError(f"{path} is in both {keys[other]} and {keys[split]}; name each file in one of them")
    return result


def _expand_path(wanted: str, key: str, forms: Sequence[str]) -> list[Path]:
    if "\0" in wanted:
        raise ConfigError(f"{key}={wanted!r} is no name of a file: it has a NUL character")
    if not wanted.isprintable() and any("\ud800" <= character <= "\udfff" for character in wanted):
        raise ConfigError(f"{key}={wanted!r} is no name in UTF-8, and a run's files are; rename it, or name its folder")
    path = expand_path(wanted)
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        if glob.has_magic(wanted):
            return _expand_glob(wanted, str(path), key, forms)
        if path.is_symlink() or isinstance(error, NotADirectoryError):
            raise DataError(f"{key}={wanted}: {unreadable_file_error(path, error)}") from None
        near = did_you_mean(path.name, _names_beside(path))
        raise DataError(f"{key}={wanted}: there is no such file or folder.{near}") from None
    except OSError as error:
        raise DataError(f"{key}={wanted}: {unreadable_file_error(path, error)}") from None
    if stat.S_ISDIR(status.st_mode):
        inside = sorted(_files_in_folder(path, forms))
        if not inside:
            raise DataError(f"{key}={wanted}: the folder holds no file that can be read: {_list_formats(forms)}")
        return inside
    check_regular_file(Path(f"{key}={wanted}"), status)
    if file_format(path, forms) is None:
        raise DataError(f"{key}={wanted}: cannot read this kind of file; rename or convert it to one of {_list_formats(forms)}")
    return [path]


def _names_beside(path: Path) -> list[str]:
    try:
        return sorted(os.listdir(path.parent))
    except OSError:
        return []


def _expand_glob(wanted: str, pattern: str, key: str, forms: Sequence[str]) -> list[Path]:
    matches = [Path(match) for match in sorted(set(_glob(pattern)))]
    if not matches:
        raise DataError(f"{key}={wanted}: nothing matches")
    files: list[Path] = []
    for match in matches:
        if match.is_dir():
            files += sorted(_files_in_folder(match, forms))
        elif file_format(match, forms):
            files.append(match)
    if not files:
        raise DataError(f"{key}={wanted}: none of the {len(matches)} matches can be read: {_list_formats(forms)}")
    return files


def _glob(pattern: str) -> Iterator[str]:
    """What a pattern matches; its `**` enter every folder once: in circles of links there would be no end of paths."""
    above, stars, below = re.match(r"(.*?)((?:^|/)\*\*(?:/|$)|$)(.*)", pattern, re.DOTALL).groups()  # type: ignore[union-attr]
    if not stars:
        yield from glob.iglob(pattern)
        return
    for begin in filter(os.path.isdir, glob.iglob(above or ("/" if stars.startswith("/") else "."))):
        for folder, folders, names in _walk(Path(begin)):
            here = "" if folder == "." else folder
            if below:
                yield from _glob(os.path.join(glob.escape(here), below))
            else:
                yield from (os.path.join(here, name) for name in [*folders, *names] if not name.startswith("."))


def _files_in_folder(folder: Path, forms: Sequence[str]) -> Iterator[Path]:
    """The readable files of a folder and its folders, without those whose names begin with a dot."""
    for path, _, names in _walk(folder):
        yield from (Path(path, name) for name in names if not name.startswith(".") and file_format(Path(name), forms))


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk`, with links followed, every folder once, and none whose name begins with a dot.

    Raises:
        DataError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise unreadable_file_error(Path(str(error.filename)), error)

    seen = set()
    for path, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        here = os.path.realpath(path)
        if here in seen:  # a link that leads back up, or to a folder that was entered already
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield path, folders, names


def _list_formats(forms: Sequence[str]) -> str:
    return f"{', '.join(form for form in forms if form != '.parquet')} (each also .gz or .zst) and .parquet"
