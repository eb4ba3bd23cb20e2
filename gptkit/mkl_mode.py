"""Which bits a product of matrices in float32 has on a processor: MKL's mode, which a run keeps from its first step to its last.

MKL reads it at its first product. In that of new runs sums do not depend on where numbers lie in memory, nor on how many rows
share a product.
"""

from __future__ import annotations

import os

ENV_VARIABLE = "MKL_CBWR"

DEFAULT_MODE = "AUTO,STRICT"
"""That of new runs, where the environment names none."""


def set_default_mode() -> None:
    """Take ours, unless the environment has its own. Must come before torch multiplies."""
    os.environ.setdefault(ENV_VARIABLE, DEFAULT_MODE)


def current_mode() -> str:
    """The mode of this process; empty: MKL's own choice."""
    return os.environ.get(ENV_VARIABLE, "")


def restore_mode(run_mode: str) -> None:
    """Multiply as a run did when it began, unless the environment has a mode of its own. Must come before torch multiplies."""
    if current_mode() == DEFAULT_MODE:
        os.environ[ENV_VARIABLE] = run_mode
