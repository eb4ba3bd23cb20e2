"""Where a model in Hugging Face format lies: a folder, or a name of the hub, which is downloaded once."""

from __future__ import annotations

from pathlib import Path

from gptkit.errors import CheckpointError
from gptkit.hub import NotGiven, snapshot, split_revision
from gptkit.user_files import path_of

PATTERNS = ["config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*.json", "vocab.json", "merges.txt"]
PICKLES = ["pytorch_model.bin"]


def fetch(source: str) -> Path:
    """The folder that holds the model's files.

    Args:
        source: a folder, or a name of the hub such as `openai-community/gpt2`, with `@` and a revision where one is meant.

    Raises:
        CheckpointError: there is neither.
    """
    folder = path_of(source)
    if source and folder.is_dir():
        return folder
    if folder.exists() and source:
        raise CheckpointError(f"hf:{source}: is no folder; name the folder that holds config.json, or a model of the hub")
    if source.startswith((".", "/", "~")) or split_revision(source)[0].count("/") > 1 or not source:
        raise CheckpointError(f"hf:{source}: there is no such folder")
    try:
        found = snapshot(source, PATTERNS)
        if not any(found.glob("*.safetensors")):
            found = snapshot(source, PATTERNS + PICKLES)
    except ImportError:
        raise CheckpointError(f"hf:{source}: there is no such folder, and asking the hub needs pip install gptkit[hub]") from None
    except NotGiven as error:
        raise CheckpointError(f"hf:{source}: there is no such folder, and the hub did not give it: {error}") from None
    return found
