"""Expansion of the paths, globs and folders in `data.path` to a list of files."""

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
"""The formats of documents. All except .parquet may be compressed."""
COMPRESSIONS = (".gz", ".zst")


def file_format(path: Path, forms: Sequence[str] = FORMATS) -> str | None:
    """Return the format of a file by its name, one of `forms`; None for other files."""
    name = path.name.lower()
    for compression in COMPRESSIONS:
        if name.endswith(compression):
            name = name.removesuffix(compression)
            break
    else:
        return next((form for form in forms if name.endswith(form)), None)
    return next((form for form in forms if form != ".parquet" and name.endswith(form)), None)


def find_files(paths: Any, *, key: str = "data.path", forms: Sequence[str] = FORMATS) -> list[Path]:
    """Return the files of paths, globs and folders, each file once. The order is that of `paths`; folders and globs are sorted.

    Args:
        paths: a path, glob or folder, or a list of them.
        key: their configuration key, for errors.
        forms: the formats to include.

    Raises:
        ConfigError: `paths` is neither a text nor a list of texts.
        DataError: a path does not exist, a glob matches no file, or a file has none of the formats.
    """
    path_list = [paths] if isinstance(paths, str) else paths
    if not isinstance(path_list, list | tuple) or not path_list or not all(isinstance(each, str) and each for each in path_list):
        raise ConfigError(f"{key}={paths} must be a file, glob or folder, or a list of them")
    result: dict[str, Path] = {}
    for each in path_list:
        for path in _expand_path(each, key, forms):
            result.setdefault(os.path.realpath(path), path)
    return list(result.values())


def find_splits(train: Any, validation: Any, test: Any, *, forms: Sequence[str]) -> dict[str, list[Path]]:
    """Return the files of each split: `data.path` for training, and `data.validation` and `data.test` if they are set.

    Raises:
        ConfigError: see `find_files`.
        DataError: see `find_files`; also if a file is in two splits, which would mix training and evaluation data.
    """
    keys = {"train": "data.path", "validation": "data.validation", "test": "data.test"}
    paths_by_split = {"train": train, "validation": validation, "test": test}
    result = {
        split: find_files(paths, key=keys[split], forms=forms)
        for split, paths in paths_by_split.items()
        if split == "train" or paths
    }
    owners: dict[str, str] = {}
    for split, files in result.items():
        for path in files:
            other = owners.setdefault(os.path.realpath(path), split)
            if other != split:
                raise DataError(f"{path} is in both {keys[other]} and {keys[split]}; name each file in one of them")
    return result


def _expand_path(text: str, key: str, forms: Sequence[str]) -> list[Path]:
    if "\0" in text:
        raise ConfigError(f"{key}={text!r} is not a file name: it contains a NUL character")
    if not text.isprintable() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ConfigError(
            f"{key}={text!r} is not valid UTF-8, which run configurations require; rename the file, or use its folder"
        )
    path = expand_path(text)
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        if glob.has_magic(text):
            return _expand_glob(text, str(path), key, forms)
        if path.is_symlink() or isinstance(error, NotADirectoryError):
            raise DataError(f"{key}={text}: {unreadable_file_error(path, error)}") from None
        near = did_you_mean(path.name, _names_beside(path))
        raise DataError(f"{key}={text}: there is no such file or folder.{near}") from None
    except OSError as error:
        raise DataError(f"{key}={text}: {unreadable_file_error(path, error)}") from None
    if stat.S_ISDIR(status.st_mode):
        files = sorted(_files_in_folder(path, forms))
        if not files:
            raise DataError(f"{key}={text}: the folder contains no file in a supported format: {_list_formats(forms)}")
        return files
    check_regular_file(Path(f"{key}={text}"), status)
    if file_format(path, forms) is None:
        raise DataError(
            f"{key}={text}: the format of the file is not supported; rename or convert it to one of {_list_formats(forms)}"
        )
    return [path]


def _names_beside(path: Path) -> list[str]:
    try:
        return sorted(os.listdir(path.parent))
    except OSError:
        return []


def _expand_glob(text: str, pattern: str, key: str, forms: Sequence[str]) -> list[Path]:
    matches = [Path(match) for match in sorted(set(_glob(pattern)))]
    if not matches:
        raise DataError(f"{key}={text}: no file matches")
    files: list[Path] = []
    for match in matches:
        if match.is_dir():
            files += sorted(_files_in_folder(match, forms))
        elif file_format(match, forms):
            files.append(match)
    if not files:
        raise DataError(f"{key}={text}: none of the {len(matches)} matches has a supported format: {_list_formats(forms)}")
    return files


def _glob(pattern: str) -> Iterator[str]:
    """Yield the matches of a pattern. `**` enters each folder only once, because cycles of links would give endless paths."""
    before, stars, after = re.match(r"(.*?)((?:^|/)\*\*(?:/|$)|$)(.*)", pattern, re.DOTALL).groups()  # type: ignore[union-attr]
    if not stars:
        yield from glob.iglob(pattern)
        return
    for root in filter(os.path.isdir, glob.iglob(before or ("/" if stars.startswith("/") else "."))):
        for folder, folders, names in _walk(Path(root)):
            prefix = "" if folder == "." else folder
            if after:
                yield from _glob(os.path.join(glob.escape(prefix), after))
            else:
                yield from (os.path.join(prefix, name) for name in [*folders, *names] if not name.startswith("."))


def _files_in_folder(folder: Path, forms: Sequence[str]) -> Iterator[Path]:
    """Yield the files of a folder and its subfolders in the given formats, except hidden ones."""
    for path, _, names in _walk(folder):
        yield from (Path(path, name) for name in names if not name.startswith(".") and file_format(Path(name), forms))


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Like `os.walk`, but follows links, visits each folder once, and skips hidden folders.

    Raises:
        DataError: a folder cannot be listed.
    """

    def raise_unreadable(error: OSError) -> None:
        raise unreadable_file_error(Path(str(error.filename)), error)

    visited = set()
    for path, folders, names in os.walk(folder, followlinks=True, onerror=raise_unreadable):
        real_path = os.path.realpath(path)
        if real_path in visited:  # a link to a parent or to another visited folder
            folders.clear()
            continue
        visited.add(real_path)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield path, folders, names


def _list_formats(forms: Sequence[str]) -> str:
    return f"{', '.join(form for form in forms if form != '.parquet')} (each also .gz or .zst) and .parquet"
