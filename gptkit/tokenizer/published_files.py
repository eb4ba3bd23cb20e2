"""Where a tokenizer's published files lie: a folder, or a model on the Hugging Face hub, whose files are downloaded once."""

from __future__ import annotations

from pathlib import Path

from gptkit.errors import ConfigError
from gptkit.hub import HubError, snapshot, split_revision
from gptkit.user_files import expand_path


def local_folder(path: str) -> Path | None:
    """The folder that `tokenizer.path` names; None where it is a name on the hub.

    Raises:
        ConfigError: it looks like a folder, and there is none.
    """
    folder = expand_path(path)
    if folder.is_dir():
        return folder
    if path.startswith((".", "/", "~")) or split_revision(path)[0].count("/") > 1:
        raise ConfigError(f"tokenizer.path={path}: there is no such folder")
    return None


def download_files(name: str, files: tuple[str, ...], *, way_out: str) -> list[Path]:
    """These files of a model on the hub.

    Args:
        way_out: what else the user can do, for the errors.

    Raises:
        ConfigError: the package that asks the hub is not installed, the hub cannot be reached, or has no such files.
    """
    try:
        folder = snapshot(name, files)
    except ImportError:
        raise ConfigError(f"tokenizer.path={name}: the hub needs pip install gptkit[hub]; {way_out}") from None
    except HubError as error:
        raise ConfigError(f"tokenizer.path={name}: not to be had from the hub ({error}); {way_out}") from None
    for file in files:
        if not (folder / file).is_file():
            raise ConfigError(f"tokenizer.path={name}: not to be had from the hub (that model has no {file}); {way_out}")
    return [folder / file for file in files]
