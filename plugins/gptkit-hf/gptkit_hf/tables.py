"""Open the tables of a dataset from `data.path`: local or on the Hub, complete or streamed."""

from __future__ import annotations

import contextlib
import glob
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets

from gptkit.data.readers.file_hashes import file_sha256
from gptkit.errors import ConfigError, DataError, GptkitError, did_you_mean
from gptkit.hub import split_revision

if TYPE_CHECKING:
    from gptkit_hf import HFDataConfig

READERS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv", ".txt": "text", ".arrow": "arrow"}
COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")
SAVED, SAVED_SPLITS = "dataset_info.json", "dataset_dict.json"
"""Files that `save_to_disk` writes for one table, and for several."""


def open_tables(settings: HFDataConfig) -> tuple[dict[str, Any], str]:
    """Return the splits of the dataset by name, and a string that identifies its content.

    Raises:
        ConfigError: `data.path` is neither a string nor a list of strings.
        DataError: the dataset does not exist, or cannot be read.
    """
    paths = settings.path if isinstance(settings.path, list) else [settings.path]
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise ConfigError(f"data.path={settings.path} must be a folder, a file or glob, a list of them, or a name on the Hub")
    with _one_line_errors(f"data.path={settings.path}"):
        folder = Path(paths[0]).expanduser()
        if len(paths) == 1 and folder.is_dir():
            return _open_folder(folder, settings)
        if len(paths) == 1 and _may_be_on_the_hub(paths[0]):
            return _open_hub(paths[0], settings)
        files = [file for path in paths for file in _find_files(path)]
        forms = sorted({_file_format(file) for file in files})
        if len(forms) > 1 or forms[0] not in READERS:
            raise DataError(
                f"data.path={settings.path}: files must have one format out of {', '.join(READERS)}, not {', '.join(forms)}"
            )
        builder = datasets.load_dataset_builder(READERS[forms[0]], data_files={"train": [str(file) for file in files]})
        return _tables(builder, settings), _describe_content(files)


def _open_folder(folder: Path, settings: HFDataConfig) -> tuple[dict[str, Any], str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    if (folder / SAVED_SPLITS).is_file():
        return dict(datasets.load_from_disk(str(folder))), _describe_content(files)
    if (folder / SAVED).is_file():
        return {"train": datasets.load_from_disk(str(folder))}, _describe_content(files)
    builder = datasets.load_dataset_builder(str(folder), settings.config)
    return _tables(builder, settings), _describe_content(files) + str(builder.config.name)


def _open_hub(name: str, settings: HFDataConfig) -> tuple[dict[str, Any], str]:
    name, revision = split_revision(name)
    if revision is not None and settings.revision not in (None, revision):
        raise ConfigError(f"data.path={name}@{revision} and data.revision={settings.revision} disagree; leave one of them out")
    try:
        builder = datasets.load_dataset_builder(name, settings.config, revision=revision or settings.revision)
    except (
        ConnectionError,
        FileNotFoundError,
    ) as error:  # the dataset does not exist or the Hub cannot be reached: the name may be misspelt
        near = did_you_mean(name, sorted(os.listdir()))
        raise DataError(
            f"data.path={name} is not a local file or folder, and the Hub did not provide it: {_reason(error).rstrip('.')}.{near}"
        ) from None
    files = {
        str(split): list(map(str, some)) for split, some in (builder.config.data_files or {}).items()
    }  # the paths include the commit
    return _tables(builder, settings), json.dumps([name, builder.config.name, str(builder.hash), files], sort_keys=True)


def _tables(builder: Any, settings: HFDataConfig) -> dict[str, Any]:
    if settings.streaming:
        return dict(builder.as_streaming_dataset())
    builder.download_and_prepare()
    return dict(builder.as_dataset())


def _may_be_on_the_hub(path: str) -> bool:
    return not (
        Path(path).expanduser().exists()
        or path.startswith((".", "/", "~"))
        or split_revision(path)[0].count("/") > 1
        or glob.has_magic(path)
        or _file_format(Path(path)) in READERS
    )


def _find_files(path: str) -> list[Path]:
    location = Path(path).expanduser()
    matches = [location] if location.is_file() else sorted(Path(file) for file in glob.glob(str(location), recursive=True))
    files = [file for file in matches if file.is_file()]
    if not files:
        raise DataError(f"data.path={path}: the file or folder does not exist")
    return files


def _file_format(file: Path) -> str:
    """Return the suffix that determines the format of a file, ignoring that of a compression."""
    name = Path(file.stem) if file.suffix in COMPRESSIONS else file
    return name.suffix.lower()


def _describe_content(files: list[Path]) -> str:
    return json.dumps([(file.name, file_sha256(file)) for file in files])


def _reason(error: Exception) -> str:
    """Return the message of an error in one line."""
    return " ".join(str(error.__cause__ or error).split())[:300] or type(error).__name__


@contextlib.contextmanager
def _one_line_errors(what: str) -> Iterator[None]:
    """Convert errors of the datasets library to a one-line DataError, and hide its progress bars."""
    was_enabled = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    except GptkitError:
        raise
    except Exception as error:  # of many types, and often of many lines
        raise DataError(f"{what}: {_reason(error)}") from error
    finally:
        if was_enabled:
            datasets.enable_progress_bars()
