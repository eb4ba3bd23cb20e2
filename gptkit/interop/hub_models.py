"""Locates a model in Hugging Face format: a folder, or a hub name, which is downloaded once and cached."""

from __future__ import annotations

from pathlib import Path

from gptkit.errors import CheckpointError
from gptkit.hub import HubError, snapshot, split_revision
from gptkit.user_files import expand_path

FILE_PATTERNS = ["config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*.json", "vocab.json", "merges.txt"]
PICKLE_PATTERNS = ["pytorch_model.bin"]


def resolve_folder(source: str) -> Path:
    """Return the folder that holds the model's files.

    Args:
        source: a folder, or a name of the hub such as `openai-community/gpt2`, optionally with `@<revision>`.

    Raises:
        CheckpointError: neither a folder nor a hub model of this name exists.
    """
    folder = expand_path(source)
    if source and folder.is_dir():
        return folder
    if folder.exists() and source:
        raise CheckpointError(f"hf:{source}: is not a folder; use the folder that holds config.json, or a hub name")
    if source.startswith((".", "/", "~")) or split_revision(source)[0].count("/") > 1 or not source:
        raise CheckpointError(f"hf:{source}: there is no such folder")
    try:
        folder = snapshot(source, FILE_PATTERNS)
        if not any(folder.glob("*.safetensors")):
            folder = snapshot(source, FILE_PATTERNS + PICKLE_PATTERNS)
    except ImportError:
        raise CheckpointError(f"hf:{source}: there is no such folder, and the hub needs pip install gptkit[hub]") from None
    except HubError as error:
        raise CheckpointError(f"hf:{source}: there is no such folder, and the hub did not provide it: {error}") from None
    return folder
