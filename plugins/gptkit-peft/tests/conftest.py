"""Fixtures of all tests of the package. pytest imports this file by its path, other files import `peft_fixtures`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from peft_fixtures import _one_thread, base, inputs, train

__all__ = ["_one_thread", "base", "inputs", "train"]
