"""The folder in which the kit keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path

from gptkit.user_files import path_of


def cache_folder() -> Path:
    """$GPTKIT_CACHE, else ~/.cache/gptkit. It may not exist yet, and deleting it is always safe."""
    return path_of(os.environ.get("GPTKIT_CACHE") or "~/.cache/gptkit")
