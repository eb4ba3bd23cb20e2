"""Writes report.html, a self-contained page about a run that can be sent to a colleague. Unfinished runs have one, too."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gptkit.atomic_io import write_file
from gptkit.errors import CheckpointError
from gptkit.kit_files import MIB, DamagedFile, read_bytes, read_text
from gptkit.page.chart_svg import write_png
from gptkit.page.chart_view import chart_views
from gptkit.page.html_page import render
from gptkit.page.numbers import format_count, format_duration
from gptkit.training.checkpoints import config_file
from gptkit.training.reporting.charts import MAX_EXTRA, run_charts
from gptkit.training.reporting.curves import Curves
from gptkit.training.reporting.diagnostics import diagnose_speed, diagnose_training
from gptkit.training.reporting.environment import Environment, read_environment
from gptkit.training.reporting.fault_tolerance import warn_damaged
from gptkit.training.reporting.figures import list_figures
from gptkit.training.reporting.metrics_csv import FILE as METRICS
from gptkit.training.reporting.metrics_csv import read_metrics
from gptkit.training.reporting.ranking import format_cell, heading
from gptkit.training.reporting.reward_hacking import diagnose_collapse
from gptkit.training.reporting.samples import read_samples
from gptkit.training.reporting.summary import VALIDATION_LOSS, monitor_of, read_summary

FILE = "report.html"
TEMPLATES = Path(__file__).parent / "templates"

_EARLIER_SAMPLES = 8


def write_report(folder: Path) -> Path:
    """Write report.html from the files of the run folder, and return its path."""
    curves = read_curves(folder)
    summary, environment, settings = read_summary(folder), read_environment(folder), read_settings(folder)
    guessing = _guessing(settings, environment)
    unended = (settings.get("objective") or {}).get("missing_end_of_text")
    charts = run_charts(curves, guessing) if len(curves.columns["step"]) else []
    page = render(
        "run.html",
        templates=TEMPLATES,
        title=f"gptkit run: {folder.resolve().name}",
        lead=_lead(settings, summary, environment),
        tiles=_headline(curves, summary, guessing),
        charts=chart_views(charts[:MAX_EXTRA]),
        omitted=len(charts[MAX_EXTRA:]),
        csv=METRICS if (folder / METRICS).is_file() else "",
        pictures=[picture for path in list_figures(folder) if (picture := _picture(path)) is not None],
        samples=_group_samples(read_samples(folder)),
        speed=diagnose_speed(summary, environment),
        training=diagnose_training(curves, summary, settings, guessing) + diagnose_collapse(curves, unended),
        facts=_facts(folder, settings, summary, environment),
        command=environment.command if environment else "",
        configuration=_config_text(folder),
    )
    path = folder / FILE
    write_file(path, page)
    return path


def _picture(figure: Path) -> dict[str, str] | None:
    """Encode a figure as an image with its own white background. Returns None, with a warning, if the figure is damaged."""
    try:
        content = base64.b64encode(read_bytes(figure, limit=16 * MIB)).decode()
    except (DamagedFile, FileNotFoundError) as error:
        warn_damaged(figure, error)
        return None
    return {"title": figure.stem, "content": content}


def _group_samples(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Group samples by prompt: the newest one, and at most `_EARLIER_SAMPLES` earlier ones."""
    by_prompt: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        scores = {name: value for name, value in line.items() if isinstance(value, float)}
        sample = {"step": line["step"], "prompt": line["prompt"], "text": line["text"], "scores": scores}
        by_prompt.setdefault(line["prompt"], []).append(sample)
    groups = []
    for *before, newest in by_prompt.values():
        count = min(_EARLIER_SAMPLES, len(before))
        earlier = [before[round(index * (len(before) - 1) / max(count - 1, 1))] for index in range(count)]
        groups.append({"newest": newest, "earlier": earlier})
    return groups


def write_curves(folder: Path, path: Path) -> None:
    """Write the run's curves (loss, speed, gradient norm) as one PNG, for a README or a slide."""
    settings, environment, summary = read_settings(folder), read_environment(folder), read_summary(folder)
    charts = run_charts(read_curves(folder), _guessing(settings, environment))
    write_png(charts[:3], path, _lead(settings, summary, environment))


def read_curves(folder: Path) -> Curves:
    """Return the content of metrics.csv; no rows if there is no file."""
    return Curves({name: np.asarray(values, dtype=np.float64) for name, values in read_metrics(folder).items()})


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the content of config.yaml; empty if there is none or, with a warning, if it cannot be read."""
    path = folder / config_file.FILE
    if not path.exists():
        return {}
    try:
        return config_file.read_mapping(path)
    except CheckpointError as error:
        warn_damaged(path, str(error).removeprefix(f"{path}: "))
        return {}


def _config_text(folder: Path) -> str:
    path = folder / config_file.FILE
    try:
        return read_text(path, limit=MIB)
    except (DamagedFile, FileNotFoundError):
        return ""


def _guessing(settings: Mapping[str, Any], environment: Environment | None) -> float | None:
    is_lm = _part(settings, "objective").get("name") == "lm"
    return math.log(environment.vocabulary) if environment and is_lm else None


def _part(settings: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    value = settings.get(kind)
    return value if isinstance(value, Mapping) else {}


def _lead(settings: Mapping[str, Any], summary: Mapping[str, Any], environment: Environment | None) -> str:
    model, words = _part(settings, "model"), []
    if summary.get("parameters"):
        words.append(f"{format_count(summary['parameters'])} parameters")
    if model:
        words.append(
            f"{model.get('name')}, {model.get('layers')} layers, width {model.get('width')}, context {model.get('context')}"
        )
    if _part(settings, "data"):
        words.append(f"on {_part(settings, 'data').get('name')}")
    if summary.get("tokens"):
        words.append(f"{format_count(summary['tokens'])} tokens")
    if environment:
        words.append(environment.device)
    return " · ".join(words)


def _headline(curves: Curves, summary: Mapping[str, Any], guessing: float | None) -> list[tuple[str, str]]:
    facts = []
    val, train, monitor = summary.get("val_loss"), summary.get("train_loss"), monitor_of(summary)[0]
    _, logged = curves.pair("train/loss")
    if monitor != VALIDATION_LOSS:
        facts.append((format_cell(monitor, summary), heading(monitor)))
    accuracy = "val_accuracy"
    if monitor != accuracy and isinstance(summary.get(accuracy), int | float):
        facts.append((format_cell(accuracy, summary), heading(accuracy)))
    if val is not None:
        facts.append((f"{val:.4f}", "validation loss" if guessing is None else "validation loss, nats per token"))
        if guessing is not None and val < 20:
            facts.append((f"{math.exp(val):,.2f}", "perplexity per token"))
    if train is None and len(logged):
        train = float(logged[-1])
    if train is not None:
        facts.append((f"{train:.4f}", "training loss of the last step"))
    if summary.get("tokens_per_second"):
        facts.append((f"{summary['tokens_per_second']:,.0f}", "tokens per second"))
    if summary.get("mfu") is not None:
        facts.append((f"{summary['mfu']:.{0 if summary['mfu'] >= 0.01 else 2}%}", "of the device's peak"))
    if summary.get("wall_seconds"):
        facts.append((format_duration(summary["wall_seconds"]), "training time"))
    return facts


def _facts(
    folder: Path, settings: Mapping[str, Any], summary: Mapping[str, Any], environment: Environment | None
) -> list[tuple[str, str]]:
    facts = [("folder", str(folder.resolve()))]
    for kind in ("model", "attention", "objective", "tokenizer", "data", "optimizer"):
        part = _part(settings, kind)
        if part:
            rest = ", ".join(
                f"{key} {value}" for key, value in part.items() if key != "name" and not isinstance(value, (dict, list))
            )
            facts.append((kind, f"{part.get('name')}{f' ({rest})' if rest else ''}"))
    if environment:
        facts += [
            ("vocabulary", f"{environment.vocabulary:,} tokens"),
            ("device", environment.device if environment.devices == 1 else f"{environment.devices} times {environment.device}"),
            ("precision", environment.precision),
            ("versions", ", ".join(f"{name} {version}" for name, version in environment.versions.items())),
        ]
    facts += [(name, f"{summary[name]:,}") for name in ("steps", "tokens") if name in summary]
    if summary.get("peak_memory_bytes"):
        facts.append(("peak memory", f"{summary['peak_memory_bytes'] / 2**30:.2f} GiB"))
    return facts
