"""The file samples.jsonl of a run: the samples of training, one per line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gptkit.kit_files import DamagedFile, parse_json
from gptkit.training.reporting.fault_tolerance import is_count, read_lines, rewrite_or_move_aside

FILE = "samples.jsonl"


def read_samples(folder: Path) -> list[dict[str, Any]]:
    """Return the samples of a run, without incomplete and damaged ones; none if there is no file."""
    return [sample for _, sample in read_sample_lines(folder)[0]]


def read_sample_lines(folder: Path) -> tuple[list[tuple[str, dict[str, Any]]], int]:
    """Return each intact line of samples.jsonl with its content, and the number of damaged lines."""
    return read_lines(folder / FILE, lambda line: (line, _sample(line)))


def _sample(line: str) -> dict[str, Any]:
    content = parse_json(line)
    if not isinstance(content, dict):
        raise DamagedFile("is not a JSON object")
    if not is_count(content.get("step")):
        raise DamagedFile("has no step")
    for name in ("prompt", "text"):
        if not isinstance(content.get(name), str):
            raise DamagedFile(f"has no text in the field {name}")
    return content


def truncate_samples(folder: Path, step: int) -> None:
    """Remove the lines of samples.jsonl after `step`, from which the run resumes. See `truncate_metrics`."""
    samples, damaged = read_sample_lines(folder)
    lines = "".join(f"{line}\n" for line, sample in samples if sample["step"] <= step)
    rewrite_or_move_aside(folder / FILE, lines, unreadable=bool(damaged) and not samples)
