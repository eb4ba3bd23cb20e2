"""The command `eval`: evaluates a trained model on one task, alone or against another model."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from typing import TYPE_CHECKING, Any

from gptkit.errors import ConfigError
from gptkit.plugins import registry
from gptkit.terminal import print_text, write_result
from gptkit.user_files import expand_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from gptkit.command import EvalCommand
    from gptkit.data import DataConfig
    from gptkit.evaluation.contamination import ItemOverlaps, Subset
    from gptkit.evaluation.few_shot import FewShotTask
    from gptkit.evaluation.intervals import Metric
    from gptkit.reward.base import Reward
    from gptkit.task.base import Item, Task
    from gptkit.task.comparison import Comparison, Subject

_log = logging.getLogger("gptkit")


def evaluate(settings: EvalCommand) -> dict[str, float]:
    """Print the metrics and returns them.

    Raises:
        ConfigError: the task needs a second model, a judge or data and has none, or does not use one that is set.
        DataError: examples or prompts cannot be read.
        CheckpointError: a checkpoint cannot be read.
    """
    _check_settings(settings)
    built: Any = settings.task.build(data=settings.data)
    overlaps = None if settings.index is None else _look_up_items(settings.index, settings.index_n, built)

    from gptkit.generation.precision import best_device

    device = best_device()
    subject = _load_subject(settings, settings.checkpoint, device)
    if settings.task.compares:
        metrics = _compare(settings, built, subject, device)
        content: dict[str, Any] = {}
        subsets: dict[str, Subset] = {}
    else:
        metrics, content, subsets = _evaluate_task(settings, built, subject, overlaps)
    scores = {name: metric.value for name, metric in metrics.items()}
    if settings.format == "json":
        write_result(_as_json(settings, scores, content) + "\n")
    else:
        from gptkit.evaluation.report import overlap_line, results_table

        print_text(results_table(metrics, content.get("items"), subsets))
        if overlaps is not None:
            print_text(overlap_line(overlaps))
    return scores


def _check_settings(settings: EvalCommand) -> None:
    task = settings.task
    if task.compares and settings.against is None:
        raise ConfigError(f"task={task.name} compares two models; set the second with against=<run>")
    if not task.compares and settings.against is not None:
        raise ConfigError(f"task={task.name} evaluates one model; remove against")
    if task.compares and settings.fewshot.k:
        raise ConfigError(f"task={task.name} compares two models and takes no examples in context; remove fewshot.k")
    if not task.judged and settings.reward is not None:
        raise ConfigError(f"task={task.name} uses no judge; remove reward")
    if settings.index is None and settings.index_n is not None:
        raise ConfigError(f"index_n={settings.index_n} needs index=<folder>, which gptkit index writes")
    if task.compares and settings.index is not None:
        raise ConfigError(f"task={task.name} compares two models and has no clean and dirty items; remove index")
    if task.compares and settings.to is not None:
        raise ConfigError(f"task={task.name} compares two models and writes no items; remove to, or redirect format=json to a file")


def _look_up_items(index: str, n: int | None, task: Task) -> ItemOverlaps:
    from gptkit.evaluation.contamination import ItemOverlaps

    return ItemOverlaps(expand_path(index), n, task)


def _evaluate_task(
    settings: EvalCommand, task: Task, subject: Subject, overlaps: ItemOverlaps | None
) -> tuple[dict[str, Metric], dict[str, Any], dict[str, Subset]]:
    """Return the metrics of a task of one model, the content of results.json, and the metrics of clean and dirty items."""
    from gptkit.data.progress import Progress
    from gptkit.evaluation.folder import EvaluationFolder
    from gptkit.evaluation.intervals import add_intervals
    from gptkit.evaluation.protocol import evaluation_protocol
    from gptkit.evaluation.report import contamination_content, results_content
    from gptkit.evaluation.runner import evaluate as run_task
    from gptkit.evaluation.runner import item_ids

    few_shot = _few_shot_task(settings, task, subject) if settings.fewshot.k else None
    task = few_shot or task
    items = len(task.items())
    subsets: dict[str, Subset] = {}
    if overlaps is not None:
        overlaps.warn_about_other_run(subject.settings, settings.checkpoint)
    with contextlib.ExitStack() as stack:
        folder = None
        if settings.to is not None:
            protocol = evaluation_protocol(settings.task, task, subject, seed=settings.seed)
            if few_shot is not None:
                protocol["fewshot"] = few_shot.protocol
            if overlaps is not None:
                protocol["index"] = overlaps.protocol()
            folder = stack.enter_context(EvaluationFolder(settings.to, protocol))
            if overlaps is not None:
                folder.annotations = {each: overlaps.annotation(place) for place, each in enumerate(item_ids(task.items()))}
        progress = stack.enter_context(Progress("evaluating"))
        resumed = 0 if folder is None else len(folder.scored)

        def show(done: int, total: int) -> None:
            share = (done - resumed) / max(1, total - resumed)  # of the items of this process, which the time left depends on
            progress.show(share, f"{done:,} of {total:,} items")

        results = run_task(task, subject, seed=settings.seed, batch=settings.batch, store=folder, progress=show)
        metrics = add_intervals(results, task.aggregate)
        content = results_content(
            metrics, chance=task.chance(), items=items, requests=results.requests, truncated=results.truncated
        )
        if few_shot is not None:
            content["fewshot"] = dataclasses.asdict(few_shot.statistics)
        if overlaps is not None:
            subsets = overlaps.subsets(results.columns, task.aggregate)
            content["contamination"] = contamination_content(overlaps, subsets)
        if folder is not None:
            folder.write_results({"task": settings.task.name, "checkpoint": settings.checkpoint, **content})
    if results.truncated:
        _log.warning(
            "%s of %s requests are longer than the context of %s tokens, and were truncated on the left",
            f"{results.truncated:,}",
            f"{results.requests:,}",
            f"{subject.model.context:,}",
        )
    if few_shot is not None and few_shot.statistics.items_with_fewer:
        _log.warning(
            "%s of %s items have fewer examples than fewshot.k=%s, %.1f on average: more do not fit the context of %s tokens",
            f"{few_shot.statistics.items_with_fewer:,}",
            f"{items:,}",
            f"{settings.fewshot.k:,}",
            few_shot.statistics.mean,
            f"{subject.model.context:,}",
        )
    return metrics, content, subsets


def _few_shot_task(settings: EvalCommand, task: Task, subject: Subject) -> FewShotTask:
    """Return the task with `fewshot.k` examples before every item."""
    from gptkit.evaluation.encoding import RequestEncoder
    from gptkit.evaluation.few_shot import FewShotTask

    encoder = RequestEncoder(task, subject.tokenizer, context=subject.model.context)
    return FewShotTask(
        task,
        _pool(settings, task),
        k=settings.fewshot.k,
        separator=settings.fewshot.separator,
        seed=settings.seed,
        fits=lambda item: not any(request.truncated for request in encoder.encode_item(item)),
    )


def _pool(settings: EvalCommand, task: Task) -> Sequence[Item]:
    """Return the items that examples in context are drawn from: those of `fewshot.path`, or else of the task."""
    path = settings.fewshot.path
    if path is None:
        return task.pool()
    if not settings.task.source:
        raise ConfigError(f"task={settings.task.name} reads no files; remove fewshot.path={path}")
    if settings.data is not None and hasattr(settings.data, "path"):
        changes: dict[str, Any] = {"path": path}
        changes |= {name: None for name in ("validation", "test") if hasattr(settings.data, name)}
        data: DataConfig = dataclasses.replace(settings.data, **changes)
    else:
        data = registry().resolve("data", {"name": settings.task.source, "path": path})
    all_examples: dict[str, Any] = {"examples": 0} if hasattr(settings.task, "examples") else {}
    built: Any = dataclasses.replace(settings.task, **all_examples).build(data=data)
    pool: Sequence[Item] = built.pool()
    return pool


def _compare(settings: EvalCommand, comparison: Comparison, subject: Subject, device: torch.device) -> dict[str, Metric]:
    """Return the metrics of a comparison of two models."""
    from gptkit.evaluation.intervals import Metric
    from gptkit.evaluation.runner import evaluate as run_task

    assert settings.against is not None
    scores = comparison(
        subject,
        against=_load_subject(settings, settings.against, device),
        judge=_load_judge(settings, subject, device) if settings.task.judged else None,
        evaluate=lambda task, model: run_task(task, model, seed=settings.seed, batch=settings.batch).metrics,
        seed=settings.seed,
    )
    return {name: Metric(value) for name, value in scores.items()}


def _load_subject(settings: EvalCommand, source: str, device: torch.device) -> Subject:
    from gptkit.generation.precision import decoding_dtype
    from gptkit.task.comparison import Subject
    from gptkit.training.checkpoints.load import load, run_settings

    model, tokenizer = load(source)
    model.to(device=device, dtype=decoding_dtype(settings.precision, device))
    return Subject(model, tokenizer, source, run_settings(source))


def _load_judge(settings: EvalCommand, subject: Subject, device: torch.device) -> Reward:
    """Return the judge of the settings, or else the reward with which the evaluated run was trained."""
    from gptkit.training.checkpoints.load import load_objective

    run_reward = subject.settings.get("reward")
    if settings.reward is None and not run_reward:
        raise ConfigError(
            f"task={settings.task.name} needs a judge, and {subject.source} was trained without a reward; set reward=, "
            "for example reward=model reward.checkpoint=<run of objective=reward>, or reward=lexicon"
        )
    judge: Reward = registry().resolve("reward", settings.reward or run_reward).build(load=load_objective)
    judge.to(device)
    return judge


def _as_json(settings: EvalCommand, scores: dict[str, float], content: dict[str, Any]) -> str:
    head = {"task": settings.task.name, "checkpoint": settings.checkpoint, "against": settings.against, "seed": settings.seed}
    return json.dumps({**head, "settings": dataclasses.asdict(settings.task), "scores": scores, **content}, ensure_ascii=False)
