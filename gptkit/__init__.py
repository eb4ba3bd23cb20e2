"""gptkit: train, align, evaluate and export GPTs from one declarative configuration."""

from typing import TYPE_CHECKING

from gptkit.hookspecs import hookimpl
from gptkit.mkl_mode import set_default_mode

if TYPE_CHECKING:
    from gptkit.config.compose import compose, run
    from gptkit.generation import generate
    from gptkit.training.checkpoints.load import load

set_default_mode()

__all__ = ["compose", "generate", "hookimpl", "load", "run"]

_LAZY = {
    "compose": "gptkit.config.compose",
    "run": "gptkit.config.compose",
    "load": "gptkit.training.checkpoints.load",
    "generate": "gptkit.generation",
}


def __getattr__(name: str) -> object:
    # keeps `import gptkit` fast: torch and Hydra are imported on first use
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'gptkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
