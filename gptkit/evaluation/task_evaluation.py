"""Evaluates one task with one model: everything between the settings and the results."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptkit.errors import ConfigError
from gptkit.evaluation.calibration import calibration, option_probabilities
from gptkit.evaluation.config import FewShotConfig
from gptkit.evaluation.contamination import ItemOverlaps, Subset
from gptkit.evaluation.few_shot.draw_evaluation import draws_note, draws_protocol, evaluate_draws
from gptkit.evaluation.few_shot.draws import ExampleDraws
from gptkit.evaluation.few_shot.pool import example_pool, with_examples
from gptkit.evaluation.few_shot.task import FewShotStatistics
from gptkit.evaluation.folder import EvaluationFolder
from gptkit.evaluation.groups import add_groups
from gptkit.evaluation.intervals import Metric
from gptkit.evaluation.model_answerer import as_answerer
from gptkit.evaluation.protocol import evaluation_protocol
from gptkit.evaluation.report import calibration_content, contamination_content, results_content, subsets_content
from gptkit.evaluation.runner import Results, draw_item_id, evaluate, item_ids
from gptkit.evaluation.samples import SampledTask, check_samples
from gptkit.plugins import registry
from gptkit.user_files import expand_path

if TYPE_CHECKING:
    from gptkit.data import DataConfig
    from gptkit.evaluation.answerer import Answerer
    from gptkit.task import TaskConfig
    from gptkit.task.base import Item, Task
    from gptkit.task.comparison import Subject


@dataclass(frozen=True)
class TaskEvaluation:
    """What decides the results of one task, apart from the model."""

    task: TaskConfig
    data: DataConfig | None = None
    """A source that replaces the task's own."""
    fewshot: FewShotConfig = field(default_factory=FewShotConfig)
    index: str | None = None
    """The folder of an index of training text, for clean and dirty items."""
    index_n: int | None = None
    seed: int = 0
    samples: int = 1
    """The number of sampled answers per item."""
    pass_at: Sequence[int] | None = None
    """The values of k of pass@k; None: powers of ten, and `samples`."""

    def plain(self) -> dict[str, Any]:
        """Return the settings as plain JSON values, from which `settings_from_plain` builds them again."""
        return dataclasses.asdict(self)

    def data_name(self) -> str | None:
        """Return the names of the files that the items are from, without their folders, or the name of the source if it has none.

        None if the task generates its items.
        """
        own = getattr(self.task, "data", None)
        content = dataclasses.asdict(self.data) if self.data is not None else own if isinstance(own, dict) else {}
        path = content.get("path")
        if not path:
            return content.get("name")
        return ", ".join(Path(str(each)).name for each in (path if isinstance(path, list | tuple) else [path]))


def settings_from_plain(content: Mapping[str, Any]) -> TaskEvaluation:
    """Return the settings of an evaluation from plain values, such as those of results.json.

    Raises:
        ConfigError: a part is unknown, or a value is invalid.
    """
    parts = registry()
    data = content.get("data")
    return TaskEvaluation(
        parts.resolve("task", content["task"]),
        None if data is None else parts.resolve("data", data),
        FewShotConfig(**content["fewshot"]),
        content.get("index"),
        content.get("index_n"),
        content.get("seed", 0),
        content.get("samples", 1),
        content.get("pass_at"),
    )


@dataclass(frozen=True)
class PreparedTask:
    """A task whose examples have been read. It can be evaluated with several models."""

    settings: TaskEvaluation
    task: Task
    pool: Sequence[Item] = ()
    """The items that examples in context are drawn from; empty without such examples."""
    overlaps: ItemOverlaps | None = None
    """The items that occur in the training text of the index."""
    draws: ExampleDraws | None = None
    """Fixed draws of examples; `task` has the items that are in none of them."""


@dataclass(frozen=True)
class TaskResult:
    """The results of one task with one model."""

    metrics: Mapping[str, Metric]
    """The main one first."""
    content: dict[str, Any]
    """The content of results.json without the protocol."""
    results: Results
    """The scores of all items, in the order of the task."""
    task: Task
    """The task with its examples in context."""
    subsets: dict[str, Subset] = field(default_factory=dict)
    """The metrics of clean and dirty items."""
    warnings: tuple[str, ...] = ()
    groups: dict[str, Subset] = field(default_factory=dict)
    """The metrics of the groups of items, such as the subjects of an exam."""
    notes: tuple[str, ...] = ()
    """Sentences about the results."""


def prepare_task(settings: TaskEvaluation) -> PreparedTask:
    """Build a task, read its examples, and look them up in the index.

    Raises:
        ConfigError: the settings contradict each other, or the folder holds no index.
        DataError: the examples or the index cannot be read.
    """
    if settings.task.compares:
        raise ConfigError(f"task={settings.task.name} compares two models; evaluate it alone, with against=<run>")
    check_samples(settings.samples, settings.pass_at)
    task: Any = settings.task.build(data=settings.data)
    fewshot = settings.fewshot
    if fewshot.mode != "in_context" and not fewshot.k:
        raise ConfigError(f"fewshot.mode={fewshot.mode} learns from examples; set their number with fewshot.k")
    if fewshot.fixed_draws and fewshot.sampler == "first":
        raise ConfigError("fewshot.sampler=first takes the first examples of the pool; remove fewshot.draws and fewshot.mode")
    if fewshot.fixed_draws and settings.samples > 1:
        raise ConfigError(f"samples={settings.samples} takes no fixed draws of examples; remove fewshot.draws and fewshot.mode")
    pool = example_pool(fewshot, settings.task, settings.data, task) if fewshot.k else ()
    draws = None
    if fewshot.fixed_draws:
        draws = ExampleDraws(task, pool, k=fewshot.k, draws=fewshot.fixed_draws, seed=settings.seed)
        task = draws.task
    overlaps = None if settings.index is None else ItemOverlaps(expand_path(settings.index), settings.index_n, task)
    return PreparedTask(settings, task, pool, overlaps, draws)


def evaluate_task(
    prepared: PreparedTask,
    subject: Subject | Answerer,
    *,
    to: str | None = None,
    batch: int = 0,
    progress: Callable[[float, str], None] | None = None,
) -> TaskResult:
    """Evaluate a task with a model.

    Args:
        prepared: the task.
        subject: the model and its tokenizer, or whatever answers the requests.
        to: the folder for items.jsonl and results.json, from which the evaluation continues if it was stopped; None: no files.
        batch: maximum number of sequences per forward pass, which does not change the scores; 0: as many as fit a fixed number of
            tokens.
        progress: receives the completed fraction of what this process computes, and a text about it.

    Raises:
        ConfigError: the folder belongs to another evaluation, or the pool has too few examples.
        DataError: there are no items, or the folder is damaged.
        GptkitError: a log-probability is not finite, or the folder cannot be written.
    """
    settings, task, overlaps, draws = prepared.settings, prepared.task, prepared.overlaps, prepared.draws
    answerer = as_answerer(subject)
    few_shot, drawn = None, None
    if settings.fewshot.k and draws is None:
        task = few_shot = with_examples(task, prepared.pool, settings.fewshot, answerer, seed=settings.seed)
    sampled = None
    if settings.samples > 1:
        task = sampled = SampledTask(task, settings.samples, settings.pass_at)
    subsets: dict[str, Subset] = {}
    with contextlib.ExitStack() as stack:
        folder = None
        if to is not None:
            protocol = evaluation_protocol(settings.task, task, answerer, seed=settings.seed)
            if few_shot is not None:
                protocol["fewshot"] = few_shot.protocol
            if sampled is not None:
                protocol["samples"] = {"n": settings.samples, "pass_at": sampled.pass_at}
            if draws is not None:
                protocol["fewshot"] = draws_protocol(draws, settings.fewshot, task.separator)
            if overlaps is not None:
                protocol["index"] = overlaps.protocol()
            folder = stack.enter_context(EvaluationFolder(to, protocol))
            if overlaps is not None:
                folder.annotations = {
                    identifier: overlaps.annotation(place)
                    for place, each in enumerate(item_ids(task.items()))
                    for identifier in ([each] if draws is None else [draw_item_id(each, draw) for draw in range(len(draws))])
                }
        resumed = 0 if folder is None else len(folder.scored)

        def show(done: int, total: int) -> None:
            if progress is not None:
                progress((done - resumed) / max(1, total - resumed), f"{done:,} of {total:,} items")

        if draws is None:
            results = evaluate(task, answerer, seed=settings.seed, batch=batch, store=folder, progress=show)
            grouped = add_groups(task, results)
            metrics: Mapping[str, Metric] = grouped.metrics
            statistics = FewShotStatistics(0, 0.0, 0) if few_shot is None else few_shot.statistics
        else:
            drawn = evaluate_draws(draws, answerer, settings.fewshot, seed=settings.seed, batch=batch, store=folder, progress=show)
            results, metrics, statistics = drawn.results, drawn.metrics, drawn.statistics
            grouped = add_groups(task, results)
        content = results_content(
            metrics, chance=task.chance(), items=len(task.items()), requests=results.requests, truncated=results.truncated
        )
        if drawn is not None:
            content["draws"] = drawn.content
        content["fewshot"] = dataclasses.asdict(statistics)
        if sampled is not None:
            content["samples"] = {"n": settings.samples, "pass_at": sampled.pass_at}
        if grouped.groups:
            content["groups"] = subsets_content(grouped.groups)
        if results.option_scores and all(results.option_scores):
            targets = [item.target for item in task.items()]
            probabilities = [option_probabilities(each) for each in results.option_scores]
            content["calibration"] = calibration_content(calibration(probabilities, targets))
        if overlaps is not None:
            subsets = overlaps.subsets(results.columns, task.aggregate, task.subset_scores)
            content["contamination"] = contamination_content(overlaps, subsets)
        data_name = settings.data_name()
        head = {
            "task": settings.task.name,
            **({} if data_name is None else {"data": data_name}),
            "checkpoint": answerer.source,
            "parameters": answerer.parameters,
        }
        content = {**head, **content}
        if folder is not None:
            folder.write_results({**content, "evaluation": settings.plain()})
    scored = len(task.items()) * (1 if draws is None else len(draws))
    warnings = _warnings(results, scored, statistics, answerer.context)
    notes = () if draws is None else (draws_note(draws, settings.fewshot),)
    return TaskResult(metrics, content, results, task, subsets, warnings, grouped.groups, notes)


def _warnings(results: Results, items: int, few_shot: FewShotStatistics, context: int | None) -> tuple[str, ...]:
    warnings = []
    limit = "the context" if context is None else f"the context of {context:,} tokens"
    if results.truncated:
        warnings.append(
            f"{results.truncated:,} of {results.requests:,} requests are longer than {limit}, and were truncated on the left"
        )
    if few_shot.items_with_fewer:
        warnings.append(
            f"{few_shot.items_with_fewer:,} of {items:,} items have fewer examples than fewshot.k={few_shot.k:,}, "
            f"{few_shot.mean:.1f} on average: more do not fit {limit}"
        )
    return tuple(warnings)
