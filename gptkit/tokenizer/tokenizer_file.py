"""Read and write the JSON file in which a tokenizer saves its state, and verify its fingerprint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gptkit.errors import CheckpointError
from gptkit.kit_files import MIB, DamagedFile, read_json

_MAX_SIZE = 256 * MIB


def write(path: Path, content: dict[str, Any]) -> None:
    """Write `content`, which includes the tokenizer's fingerprint."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read(path: Path, *keys: str) -> list[Any]:
    """Return the values of `keys`.

    Raises:
        CheckpointError: the file is missing or damaged, or lacks a key.
    """
    try:
        content = read_json(path, limit=_MAX_SIZE)
        return [content[key] for key in keys]
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing, so the tokenizer cannot be loaded; use another checkpoint") from None
    except DamagedFile as error:
        raise CheckpointError(f"{path} {error}; use another checkpoint") from None
    except (KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{path} is damaged ({reason}); use another checkpoint") from None


def check_fingerprint(path: Path, *, saved: str, actual: str) -> None:
    """Check the saved fingerprint against the fingerprint of the loaded tokenizer.

    Raises:
        CheckpointError: the fingerprints differ.
    """
    if saved != actual:
        raise CheckpointError(f"{path} was altered: its content does not match its fingerprint; use another checkpoint")
