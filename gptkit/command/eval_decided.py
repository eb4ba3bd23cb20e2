"""`gptkit eval stop=decided`: evaluates two models on the same items until it is decided which one is better."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from gptkit.command.eval import check_settings
from gptkit.errors import ConfigError
from gptkit.terminal import print_text, write_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptkit.command.eval_config import EvalCommand
    from gptkit.evaluation.answerer import Answerer
    from gptkit.evaluation.comparison.sequential import SequentialResult
    from gptkit.evaluation.task_evaluation import PreparedTask
    from gptkit.task.base import Task


def evaluate_decided(settings: EvalCommand) -> dict[str, float]:
    """Print which model is better and the number of items saved, and return the metric of both.

    Raises:
        ConfigError: there are not two models, a key has no effect with stop=decided, or the metric of the task is not a mean of
            scores between 0 and 1.
        DataError: the examples cannot be read.
        CheckpointError: a checkpoint cannot be read.
    """
    from gptkit.command.eval_models import checkpoints_of, load_answerer

    checkpoints = checkpoints_of(settings)
    if len(checkpoints) != 2:
        raise ConfigError(f"stop=decided compares two models; set checkpoint=<a>,<b> instead of checkpoint={settings.checkpoint}")
    task = settings.task
    if task is None or settings.tasks:
        raise ConfigError("stop=decided evaluates one task; set task=<name>, and remove tasks")
    if task.compares:
        raise ConfigError(f"task={task.name} compares two models by itself, with against=<run>; remove stop=decided")
    if settings.fewshot.fixed_draws:
        raise ConfigError("stop=decided takes no fixed draws of examples; remove fewshot.draws and fewshot.mode")
    if settings.require:
        raise ConfigError("stop=decided does not evaluate all items; remove require")
    for key in ("to", "index", "index_n", "against"):
        if getattr(settings, key) is not None:
            raise ConfigError(f"stop=decided prints which of two models is better and keeps no items; remove {key}")
    if settings.samples > 1:
        raise ConfigError(f"stop=decided evaluates one answer per item; remove samples={settings.samples}")
    check_settings(settings)

    from gptkit.data.progress import Progress
    from gptkit.evaluation.comparison.sequential import evaluate_until_decided
    from gptkit.evaluation.model_answerer import as_answerer
    from gptkit.evaluation.task_evaluation import TaskEvaluation, prepare_task
    from gptkit.generation.precision import prepare_device

    prepared = prepare_task(TaskEvaluation(task, settings.data, settings.fewshot, seed=settings.seed))
    device = prepare_device()
    a, b = (as_answerer(load_answerer(settings, checkpoint, device)) for checkpoint in checkpoints)
    with Progress("evaluating") as progress:
        result = evaluate_until_decided(
            (_task(prepared, a), _task(prepared, b)),
            (a, b),
            seed=settings.seed,
            batch=settings.batch,
            progress=lambda done, total: progress.show(done / total, f"{done:,} of {total:,} items"),
        )
    if settings.format == "json":
        content = {"task": task.name, "checkpoints": checkpoints, **dataclasses.asdict(result)}
        write_result(json.dumps({**content, "saved": result.saved}, ensure_ascii=False) + "\n")
    else:
        print_text(_report(result, checkpoints))
    return {f"{result.metric}_a": result.a, f"{result.metric}_b": result.b}


def _task(prepared: PreparedTask, answerer: Answerer) -> Task:
    """Return the task with its examples in context for a model."""
    from gptkit.evaluation.few_shot.pool import with_examples

    if not prepared.settings.fewshot.k:
        return prepared.task
    return with_examples(prepared.task, prepared.pool, prepared.settings.fewshot, answerer, seed=prepared.settings.seed)


def _report(result: SequentialResult, checkpoints: Sequence[str]) -> str:
    from gptkit.evaluation.report import align_columns

    decision = result.decision
    values = [f"{result.a:.4f}", f"{result.b:.4f}", f"{decision.difference:+.4f}", f"{decision.low:+.4f} to {decision.high:+.4f}"]
    table = align_columns([["metric", "a", "b", "b - a", "95% interval", "items"], [result.metric, *values, f"{decision.items:,}"]])
    if decision.better is None:
        return f"{table}\nnot decided: after all {result.total:,} items, neither model is better at a level of 5%"
    better = checkpoints["ab".index(decision.better)]
    saved = f"{result.saved:,} of {result.total:,} items saved ({result.saved / result.total:.0%})"
    return f"{table}\n{decision.better} is better ({better}), decided after {decision.items:,} items; {saved}"
