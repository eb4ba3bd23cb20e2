"""`gptkit eval` of several tasks or several models: one sub-folder for each, and one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptkit.command.eval import task_evaluation
from gptkit.command.eval_models import checkpoints_of, load_answerer, model_names
from gptkit.command.eval_output import print_table
from gptkit.command.eval_requirements import check_known_metrics, check_measured
from gptkit.data.progress import Progress
from gptkit.errors import ConfigError, DataError
from gptkit.evaluation.folder import PROTOCOL, write_table
from gptkit.evaluation.model_answerer import as_answerer
from gptkit.evaluation.table.requirements import Requirement, metric_names, read_requirements
from gptkit.evaluation.table.result_table import ModelResults, measured_values, paired, table_content
from gptkit.evaluation.table.task_groups import check_units, read_groups
from gptkit.evaluation.table.task_rows import TaskRow, read_rows
from gptkit.evaluation.task_evaluation import PreparedTask, evaluate_task
from gptkit.generation.precision import prepare_device
from gptkit.user_files import expand_path

if TYPE_CHECKING:
    from gptkit.command.eval_config import EvalCommand


def evaluate_table(settings: EvalCommand) -> dict[str, Any]:
    """Evaluate all tasks with all models, print the table and write table.json. Return the values by model, task and metric.

    Raises:
        ConfigError: the settings contradict each other.
        DataError: examples cannot be read, or no row of a paper's table has a file.
        CheckpointError: a checkpoint cannot be read.
        GptkitError: a metric does not reach the required value.
    """
    names = model_names(checkpoints_of(settings))
    rows = _rows(settings)
    groups = read_groups(settings.groups, [row.name for row in rows])
    requirements = read_requirements(settings.require)
    folder = None if settings.to is None else _folder(settings.to)
    _check_files(settings, rows, requirements)
    prepared = {row.name: row.prepare() for row in rows if row.missing is None}
    check_known_metrics(requirements, prepared, [group.name for group in groups])
    if groups:
        check_units(groups, {name: metrics[0] for name, each in prepared.items() if (metrics := metric_names(each.task))})
    models = [
        _evaluate_model(settings, name, checkpoint, prepared, folder if len(names) == 1 or folder is None else folder / name)
        for name, checkpoint in names.items()
    ]
    differences = paired(rows, *models) if len(models) == 2 else None
    content = table_content(rows, groups, models, differences)
    if folder is not None:
        write_table(folder, content)
    print_table(settings, rows, groups, models, differences, content)
    values = measured_values(models, groups)
    check_measured(requirements, values)
    return values


def _rows(settings: EvalCommand) -> list[TaskRow]:
    if settings.task is not None:
        return [TaskRow(settings.task.name, task_evaluation(settings, settings.task, settings.data, settings.fewshot))]
    return read_rows(
        settings.tasks,
        root=getattr(settings.data, "root", None),
        fewshot=settings.fewshot,
        make=lambda task, data, fewshot: task_evaluation(settings, task, data, fewshot),
    )


def _folder(to: str) -> Path:
    folder = expand_path(to)
    if (folder / PROTOCOL).exists():
        raise ConfigError(f"to={to} has the results of one task with one model; choose another folder for several")
    return folder


def _check_files(settings: EvalCommand, rows: list[TaskRow], requirements: list[Requirement]) -> None:
    """Check that the files of a task are there, and those of all tasks with required metrics."""
    missing = {row.name: row.missing for row in rows if row.missing is not None}
    if rows and len(missing) == len(rows):
        first = next(iter(missing.values()))
        hint = "" if getattr(settings.data, "root", None) else "; set data.root=<folder>, the folder of the files"
        raise DataError(f"none of the {len(rows)} tasks has its file, such as {first}{hint}")
    for each in requirements:
        if each.task in missing:
            raise DataError(f"{each.key} cannot be checked: there is no file {missing[each.task]}")


def _evaluate_model(
    settings: EvalCommand, name: str, checkpoint: str, prepared: dict[str, PreparedTask], folder: Path | None
) -> ModelResults:
    """Evaluate all tasks with one model, which is released afterwards."""
    subject = load_answerer(settings, checkpoint, prepare_device())
    model = ModelResults(name, checkpoint, as_answerer(subject).parameters)
    for row, each in prepared.items():
        if each.overlaps is not None:
            each.overlaps.warn_about_other_run(subject.settings, checkpoint)
        place = folder if folder is None or settings.task is not None else folder / row
        with Progress(f"{name}: {row}" if settings.task is None else name) as progress:
            model.tasks[row] = evaluate_task(
                each, subject, to=None if place is None else str(place), batch=settings.batch, progress=progress.show
            )
    return model
