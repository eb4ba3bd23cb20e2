"""From `data.path` to the tables of a data set: on this machine or on the hub, as a whole or as a stream."""

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
"""What `save_to_disk` writes for one table, and for several."""


def open_tables(settings: HFDataConfig) -> tuple[dict[str, Any], str]:
    """Every split of the data set by its own name, and a text that differs where its content does.

    Raises:
        ConfigError: `data.path` is no text and no list of texts.
        DataError: there is no such data set, or it cannot be read.
    """
    paths = settings.path if isinstance(settings.path, list) else [settings.path]
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise ConfigError(f"data.path={settings.path} must be a folder, a file or glob, a list of them, or a name of the hub")
    with _one_line_errors(f"data.path={settings.path}"):
        folder = Path(paths[0]).expanduser()
        if len(paths) == 1 and folder.is_dir():
            return _folder(folder, settings)
        if len(paths) == 1 and _may_be_on_the_hub(paths[0]):
            return _hub(paths[0], settings)
        files = [file for path in paths for file in _matches(path)]
        forms = sorted({_file_format(file) for file in files})
        if len(forms) > 1 or forms[0] not in READERS:
            raise DataError(
                f"data.path={settings.path}: files must be of one kind out of {', '.join(READERS)}, not {', '.join(forms)}"
            )
        builder = datasets.load_dataset_builder(READERS[forms[0]], data_files={"train": [str(file) for file in files]})
        return _tables(builder, settings), _content(files)


def _folder(folder: Path, settings: HFDataConfig) -> tuple[dict[str, Any], str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    if (folder / SAVED_SPLITS).is_file():
        return dict(datasets.load_from_disk(str(folder))), _content(files)
    if (folder / SAVED).is_file():
        return {"train": datasets.load_from_disk(str(folder))}, _content(files)
    builder = datasets.load_dataset_builder(str(folder), settings.config)
    return _tables(builder, settings), _content(files) + str(builder.config.name)


def _hub(name: str, settings: HFDataConfig) -> tuple[dict[str, Any], str]:
    name, revision = split_revision(name)
    if revision is not None and settings.revision not in (None, revision):
        raise ConfigError(f"data.path={name}@{revision} and data.revision={settings.revision} disagree; leave one of them out")
    try:
        builder = datasets.load_dataset_builder(name, settings.config, revision=revision or settings.revision)
    except (ConnectionError, FileNotFoundError) as error:  # there is none, or it is out of reach: the name may be misspelt
        near = did_you_mean(name, sorted(os.listdir()))
        raise DataError(
            f"data.path={name} is no file or folder here, and the hub did not give it: {_reason(error).rstrip('.')}.{near}"
        ) from None
    files = {str(split): list(map(str, some)) for split, some in (builder.config.data_files or {}).items()}  # with their commit
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


def _matches(path: str) -> list[Path]:
    location = Path(path).expanduser()
    matches = [location] if location.is_file() else sorted(Path(file) for file in glob.glob(str(location), recursive=True))
    files = [file for file in matches if file.is_file()]
    if not files:
        raise DataError(f"data.path={path}: there is no such file or folder")
    return files


def _file_format(file: Path) -> str:
    """The ending that says what a file holds, that of a compression left out."""
    name = Path(file.stem) if file.suffix in COMPRESSIONS else file
    return name.suffix.lower()


def _content(files: list[Path]) -> str:
    return json.dumps([(file.name, file_sha256(file)) for file in files])


def _reason(error: Exception) -> str:
    """What an error of the library says, in one line."""
    return " ".join(str(error.__cause__ or error).split())[:300] or type(error).__name__


@contextlib.contextmanager
def _one_line_errors(what: str) -> Iterator[None]:
    """Errors of the library as one line, without its progress bars."""
    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    except GptkitError:
        raise
    except Exception as error:  # of dozens of kinds, often of many lines
        raise DataError(f"{what}: {_reason(error)}") from error
    finally:
        if shown:
            datasets.enable_progress_bars()
