"""Text that users, models and file systems provide never becomes markup, and the templates are published with the package."""

import json
import os
import tomllib
from pathlib import Path

import pytest

from gptkit.training.reporting.environment import Environment, write_environment
from gptkit.training.reporting.metrics_csv import MetricsFile
from gptkit.training.reporting.report import write_report

ROOT = Path(__file__).resolve().parents[3]
HOSTILE = "</pre></style></script><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}{% raw %}\"'&amp;\ud800"


def write_hostile_run(folder: Path) -> None:
    """Write a run whose names and texts contain markup."""
    file = MetricsFile(folder / "metrics.csv")
    for step in range(1, 4):
        file.add(
            {"step": step, "tokens": step, "train/loss": 1.0 / step, "lr": 1e-3, "train/<script>alert(1)</script>": 1.0 / step}
        )
    file.close()
    sample = {"step": 1, "tokens": 1, "prompt": HOSTILE, "text": HOSTILE, "<script>alert(1)</script>": 0.5}
    (folder / "samples.jsonl").write_text(json.dumps(sample) + "\n")
    text = HOSTILE.replace("\ud800", "")
    write_environment(folder, Environment(text, text, 1, text, 10, 10, None, None, text, {text: text}))
    (folder / "config.yaml").write_text(f"model: {{name: {json.dumps(text)}, layers: {json.dumps(text)}}}\n")
    (folder / "figures").mkdir()
    (folder / "figures" / "<script>alert(1)<!--.svg").write_text("<svg><script>alert(1)</script></svg>")


@pytest.mark.parametrize("name", ["<script>alert(1)<!--", "\ud800", os.fsdecode(b"\xff<b>")], ids=["markup", "surrogate", "bytes"])
def test_hostile_text_and_file_names_are_escaped(tmp_path: Path, name: str) -> None:
    try:
        (folder := tmp_path / name).mkdir()
    except (OSError, UnicodeEncodeError):
        pytest.skip("the file system has no such name")
    write_hostile_run(folder)
    page = write_report(folder).read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "onerror=alert(1)&gt;" in page
    assert "{{ 7 * 7 }}" in page  # no template inside a text is evaluated
    assert "{% raw %}" in page


@pytest.mark.parametrize("package", ["page", "evaluation.page", "training.reporting"])
def test_templates_are_package_data(package: str) -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    folder = ROOT / "gptkit" / package.replace(".", "/")
    packaged = {path for pattern in patterns[f"gptkit.{package}"] for path in folder.glob(pattern)}
    assert {path for path in (folder / "templates").rglob("*") if path.is_file()} <= packaged
