"""Location of published tokenizer files: a folder, or a model on the Hugging Face hub, whose files are downloaded once."""

from __future__ import annotations

from pathlib import Path

from gptkit.errors import ConfigError
from gptkit.hub import HubError, snapshot, split_revision
from gptkit.user_files import expand_path


def local_folder(path: str) -> Path | None:
    """Return the folder that `tokenizer.path` names; None if it is a name on the hub.

    Raises:
        ConfigError: the path has the form of a folder that does not exist.
    """
    folder = expand_path(path)
    if folder.is_dir():
        return folder
    if path.startswith((".", "/", "~")) or split_revision(path)[0].count("/") > 1:
        raise ConfigError(f"tokenizer.path={path}: there is no such folder")
    return None


def download_files(name: str, files: tuple[str, ...], *, alternative: str) -> list[Path]:
    """Download files of a model on the hub, and return their paths.

    Args:
        name: the name of the model on the hub.
        files: the names of the files.
        alternative: another option for the user, for errors.

    Raises:
        ConfigError: the package for the hub is not installed, the hub cannot be reached, or the model lacks a file.
    """
    try:
        folder = snapshot(name, files)
    except ImportError:
        raise ConfigError(f"tokenizer.path={name}: the hub needs pip install gptkit[hub]; {alternative}") from None
    except HubError as error:
        raise ConfigError(f"tokenizer.path={name}: cannot be downloaded from the hub ({error}); {alternative}") from None
    for file in files:
        if not (folder / file).is_file():
            raise ConfigError(f"tokenizer.path={name}: cannot be downloaded from the hub (the model has no {file}); {alternative}")
    return [folder / file for file in files]
