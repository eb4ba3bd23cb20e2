"""Measure the page that compares many long runs: its size, how long it takes to write, and how long Chromium takes to open it.

    python benchmarks/report_page.py
    python benchmarks/report_page.py --runs 20 --points 10000 --keep page.html

Prints JSON with medians over three fresh browser contexts. `opens_seconds` is the time from the start of the navigation until the
page is loaded and painted; `all_charts_seconds` the time until every chart has been drawn while scrolling from top to bottom.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from gptkit.training.reporting.comparison import read_run, write_comparison

COLUMNS = "step,tokens,train/loss,val/loss,lr,grad_norm,tokens_per_second,wall_seconds,train/accuracy,val/accuracy"


def write_run(folder: Path, number: int, points: int) -> None:
    """Write a synthetic run of `points` logged steps: a noisy falling loss, spikes of the gradient norm, 100 validations."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(number)
    lr = 10 ** draw.uniform(-4, -2)
    (folder / "config.yaml").write_text(
        f"model:\n  name: gpt\n  layers: {2 + number % 4}\noptimizer:\n  name: adamw\n  lr: {lr!r}\nseed: {number}\n"
    )
    steps = np.arange(1, points + 1) * 10
    loss = 2.5 + 8 * np.exp(-steps / steps[-1] * (5 + number / 2)) + 0.1 * draw.normal(size=points)
    norm = np.exp(0.2 * draw.normal(size=points)) * np.where(draw.random(points) < 1e-3, 50, 1)
    speed = 1e5 + 2e3 * draw.normal(size=points)
    rows = [COLUMNS]
    for index, step in enumerate(steps.tolist()):
        val = f"{loss[index] + 0.05:.6f}" if (index + 1) % (points // 100) == 0 else ""
        accuracy = 1 - loss[index] / 12
        values = f"{loss[index]:.6f},{val},{lr * (1 - index / points)!r},{norm[index]:.6f},{speed[index]:.1f},{step / 20:.3f}"
        rows.append(f"{step},{step * 8192},{values},{accuracy:.6f},{accuracy if val else ''}")
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
    body = {"parameters": 124_000_000, "tokens": int(steps[-1]) * 8192, "steps": int(steps[-1]), "train_loss": loss[-1]}
    body |= {"val_loss": loss[-1] + 0.05, "tokens_per_second": 1e5, "wall_seconds": points / 2, "finished": True, "validated": True}
    (folder / "summary.json").write_text(json.dumps(body))


def open_page(page: Path, rounds: int = 3) -> dict[str, Any]:
    """Open the page in Chromium several times; gives the medians."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    opens, everything = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        for _ in range(rounds):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            tab = context.new_page()
            begin = time.perf_counter()
            tab.goto(page.as_uri())
            tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            opens.append(time.perf_counter() - begin)
            for top in range(0, int(tab.evaluate("document.documentElement.scrollHeight")), 600):
                tab.evaluate(f"scrollTo(0, {top})")
                tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            tab.wait_for_function("gptkitCharts.charts.every(chart => chart.plot)")
            everything.append(time.perf_counter() - begin)
            context.close()
        version = browser.version
        browser.close()
    return {
        "chromium": version,
        "opens_seconds": round(statistics.median(opens), 3),
        "all_charts_seconds": round(statistics.median(everything), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--points", type=int, default=10_000, help="logged steps of each run")
    parser.add_argument("--keep", type=Path, help="where to keep the page")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folders = [Path(folder, f"run-{number:02d}") for number in range(arguments.runs)]
        for number, each in enumerate(folders):
            write_run(each, number, arguments.points)
        page = Path(folder, "comparison.html")
        begin = time.perf_counter()
        runs = [read_run(each.name, each) for each in folders]
        read = time.perf_counter()
        write_comparison(page, f"Comparison of {len(runs)} runs", runs)
        written = time.perf_counter()
        result = {
            "runs": arguments.runs,
            "points": arguments.points,
            "page_mib": round(page.stat().st_size / 2**20, 2),
            "read_seconds": round(read - begin, 2),
            "write_seconds": round(written - read, 2),
            **open_page(page),
        }
        if arguments.keep:
            shutil.copy(page, arguments.keep)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
