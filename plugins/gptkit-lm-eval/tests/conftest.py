"""Makes the fixtures known. They have a module of their own, since mypy accepts only one module named conftest."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[3] / "benchmarks")]  # the comparison is a benchmark

from lm_eval_fixtures import files, gpt2, write_task  # noqa: E402, F401
