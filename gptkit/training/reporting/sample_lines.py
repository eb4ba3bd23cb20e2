"""samples.jsonl: the texts that a run drew, one JSON object per line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gptkit.kit_files import DamagedFile, parse_json
from gptkit.training.reporting.damaged_files import is_count, read_lines

FILE = "samples.jsonl"


def read_samples(folder: Path) -> list[dict[str, Any]]:
    """The samples of a run, one that is still being written or is damaged left out; none where there is no file."""
    return [sample for _, sample in read_sample_lines(folder)[0]]


def read_sample_lines(folder: Path) -> tuple[list[tuple[str, dict[str, Any]]], int]:
    """Each line of samples.jsonl as it stands, with its content, and how many others were damaged."""
    return read_lines(folder / FILE, lambda line: (line, _sample(line)))


def _sample(line: str) -> dict[str, Any]:
    content = parse_json(line)
    if not isinstance(content, dict):
        raise DamagedFile("is no JSON object")
    if not is_count(content.get("step")):
        raise DamagedFile("has no step")
    for name in ("prompt", "text"):
        if not isinstance(content.get(name), str):
            raise DamagedFile(f"has no text in the field {name}")
    return content
