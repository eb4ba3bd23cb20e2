"""The training loop in the documentation runs unchanged."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "training-loop.md"


def test_training_loop_of_the_page_learns_and_generates(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert "range(200)" in code
    exec(compile(code.replace("range(200)", "range(100)"), str(PAGE), "exec"), {})
    first, second, text = capsys.readouterr().out.split("\n", 2)
    losses = [float(line.split()[-1]) for line in (first, second)]
    assert math.log(40) > losses[0] > losses[1] > 1.5  # better than guessing among the letters, and falling
    assert text.startswith("The ")
