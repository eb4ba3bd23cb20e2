"""The command `report`: compares runs, or results of evaluations, in a table on standard output and on an HTML page."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gptkit.command import ReportCommand
from gptkit.errors import ConfigError, did_you_mean
from gptkit.terminal import print_text
from gptkit.user_files import expand_path

if TYPE_CHECKING:
    from gptkit.evaluation.page.several_results import Result
    from gptkit.training.reporting.comparison import ComparedRun


def report(settings: ReportCommand) -> list[ComparedRun] | list[Result]:
    """Print the table, write the page, and return the runs, or the results, in the order in which they were named.

    Of a run with damaged files, the readable part is compared, and the page names what is missing.

    Raises:
        ConfigError: a folder does not exist, or contains no run and no results, or there are both runs and results.
    """
    page = expand_path(settings.to)
    if page.is_dir():
        raise ConfigError(f"to={settings.to} is a folder; name a file, such as to={page / 'comparison.html'}")
    words = [settings.runs] if isinstance(settings.runs, str) else list(settings.runs)
    paths = [expand_path(word) for word in words]
    results = {path: find_result_folders(path) for path in paths}
    if any(results.values()):
        return _report_results(results, page)
    folders = find_runs(paths)

    from gptkit.training.reporting.comparison import label_by_settings, read_run, write_comparison
    from gptkit.training.reporting.comparison_table import print_comparison, print_page_path

    runs = [read_run(name, folder) for name, folder in zip(_short_names(folders), folders, strict=True)]
    keys = label_by_settings(runs)
    title = f"Comparison of {len(runs)} runs" if len(runs) > 1 else f"Run {runs[0].name}"
    write_comparison(page, title, runs, keys=keys)
    print_comparison(runs, keys)
    print_page_path(f"The comparison is {page}")
    return runs


def find_result_folders(path: Path) -> list[Path]:
    """Return the folders of results of `gptkit eval` at a path; empty for a run and for a folder of runs."""
    from gptkit.evaluation.page.content import find_results

    return find_results(path) if path.is_dir() and not is_run(path) else []


def _report_results(results: Mapping[Path, Sequence[Path]], page: Path) -> list[Result]:
    """Compare results of evaluations."""
    for path, found in results.items():
        if not found and path.is_dir():
            other = next(path for path, found in results.items() if found)
            raise ConfigError(
                f"runs: {other} holds results of gptkit eval, but {path} does not; report runs and results with two commands"
            )
        if not found:
            print_text(f"gptkit: {path} is no folder; it is skipped", sys.stderr)
    from gptkit.evaluation.page.several_results import read_all, results_as_text, write_comparison

    folders = list(dict.fromkeys(folder for found in results.values() for folder in found))
    compared = read_all(folders)
    write_comparison(page, compared)
    print_text(results_as_text(compared))
    print_text(f"The comparison is {page}", sys.stderr)
    return compared


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """Return the run folders among the paths. A folder that is not a run stands for the runs directly in it.

    Files, which `runs/*` may match, and folders that cannot be read are skipped with a warning.

    Raises:
        ConfigError: a path does not exist, a folder contains no run, or no folder is left.
    """
    runs: dict[Path, None] = {}
    for path in paths:
        if os.path.isdir(path):
            runs.update(dict.fromkeys(_runs_in(path)))
        elif os.path.lexists(path):
            print_text(f"gptkit: {path} is no folder; it is skipped", sys.stderr)
        else:
            try:
                near = [str(path.parent / name) for name in os.listdir(path.parent)]
            except OSError:
                near = []
            raise ConfigError(f"runs: there is no folder {path}.{did_you_mean(str(path), near)}")
    if not runs:
        raise ConfigError("runs: none of these is a folder that can be read; give the folders of runs: gptkit report runs/*")
    return list(runs)


def _runs_in(folder: Path) -> list[Path]:
    if is_run(folder):
        return [folder]
    try:
        below = sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_dir())
    except OSError as error:
        print_text(f"gptkit: {folder} cannot be read ({error.strerror}); it is skipped", sys.stderr)
        return []
    runs = [path for path in below if is_run(path)]
    if not runs:
        raise ConfigError(f"runs: {folder} holds no run: there is no config.yaml, metrics.csv or summary.json in it")
    return sorted(runs, key=_number_or_name)


def is_run(folder: Path) -> bool:
    """Return whether a folder holds a run, or the job of a sweep."""
    from gptkit.training.reporting.comparison import RUN_FILES

    return any(os.path.lexists(folder / name) for name in RUN_FILES)


def _number_or_name(path: Path) -> tuple[int, str]:
    """Order the jobs of a sweep, whose folders are numbers, by number."""
    return (int(path.name), "") if path.name.isdecimal() and len(path.name) < 10 else (sys.maxsize, path.name)


def _short_names(folders: Sequence[Path]) -> list[str]:
    """Return the folders' paths without what they have in common."""
    absolute = [os.path.abspath(folder) for folder in folders]
    base = os.path.commonpath([os.path.dirname(path) for path in absolute])
    return [os.path.relpath(path, base) for path in absolute]
