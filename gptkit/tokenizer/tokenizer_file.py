"""The one JSON file in which a tokenizer keeps what it has learnt, and the check that it came back unharmed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gptkit.errors import CheckpointError


def write(path: Path, content: dict[str, Any]) -> None:
    """Write `content`, which includes the tokenizer's fingerprint."""
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read(path: Path, *keys: str) -> list[Any]:
    """The values of `keys`.

    Raises:
        CheckpointError: the file is missing, no JSON, or lacks a key.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [content[key] for key in keys]
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: the folder holds no such tokenizer; use another checkpoint") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise CheckpointError(f"{path} is torn or altered ({reason}); use another checkpoint") from None


def check_fingerprint(path: Path, *, saved: str, found: str) -> None:
    """Check the fingerprint that was saved against that of what was read.

    Raises:
        CheckpointError: they differ.
    """
    if saved != found:
        raise CheckpointError(f"{path} was altered: its fingerprint is no longer that of its content; use another checkpoint")
