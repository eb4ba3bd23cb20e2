"""Makes the fixtures known. They have a module of their own, since mypy accepts only one module named conftest."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "benchmarks")]

from serve_fixtures import client, http, server  # noqa: E402, F401
