"""The environment of the runs in these tests."""

from __future__ import annotations

from gptkit.training.reporting.environment import Environment

CPU = Environment("gptkit train seed=1", "A processor", 1, "32-true", 120_000, 257, 7e5, 1e11, "product, measured", {"torch": "2"})
