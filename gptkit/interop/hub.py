"""Where a model in Hugging Face format lies: a folder, or a name of the hub, which is downloaded once."""

from __future__ import annotations

from pathlib import Path

from gptkit.errors import CheckpointError

PATTERNS = ["config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*.json", "vocab.json", "merges.txt"]
PICKLES = ["pytorch_model.bin"]


def fetch(source: str) -> Path:
    """The folder that holds the model's files.

    Args:
        source: a folder, or a name of the hub such as `openai-community/gpt2`.

    Raises:
        CheckpointError: there is neither.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if source.startswith((".", "/", "~")) or source.count("/") > 1 or not source:
        raise CheckpointError(f"hf:{source}: there is no such folder")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise CheckpointError(f"hf:{source}: there is no such folder, and asking the hub needs pip install gptkit[hub]") from None
    try:
        found = Path(snapshot_download(source, allow_patterns=PATTERNS))
        if not any(found.glob("*.safetensors")):
            found = Path(snapshot_download(source, allow_patterns=PATTERNS + PICKLES))
    except Exception as error:  # network, permission and name errors of several libraries
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise CheckpointError(f"hf:{source}: there is no such folder, and the hub did not give it ({reason})") from None
    return found
