"""Set MKL's reproducibility mode, which affects the last bits of float32 matrix products on a CPU. A run keeps its mode.

MKL reads the mode at the first matrix product. In the default mode, results depend neither on memory alignment nor on the number of
rows in a product.
"""

from __future__ import annotations

import os

ENV_VARIABLE = "MKL_CBWR"

DEFAULT_MODE = "AUTO,STRICT"
"""The mode of new runs, unless the environment sets one."""


def set_default_mode() -> None:
    """Set the default mode, unless the environment sets one. Must be called before the first matrix product."""
    os.environ.setdefault(ENV_VARIABLE, DEFAULT_MODE)


def current_mode() -> str:
    """Return the mode of this process; empty if MKL chooses."""
    return os.environ.get(ENV_VARIABLE, "")


def restore_mode(run_mode: str) -> None:
    """Set the mode with which a run started, unless the environment sets one. Must be called before the first matrix product."""
    if current_mode() == DEFAULT_MODE:
        os.environ[ENV_VARIABLE] = run_mode
