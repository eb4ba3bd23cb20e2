"""The command `eval`: evaluates trained models on tasks, or one model against another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptkit.errors import ConfigError
from gptkit.evaluation.config import SERVER, OpenAIConfig
from gptkit.plugins import registry

if TYPE_CHECKING:
    from gptkit.command.eval_config import EvalCommand
    from gptkit.data import DataConfig
    from gptkit.evaluation.config import FewShotConfig
    from gptkit.evaluation.task_evaluation import TaskEvaluation
    from gptkit.task import TaskConfig


def evaluate(settings: EvalCommand) -> dict[str, Any]:
    """Print the metrics and return them.

    Raises:
        ConfigError: the task needs a second model, a judge or data and has none, or does not use one that is set.
        DataError: examples or prompts cannot be read.
        CheckpointError: a checkpoint cannot be read.
        GptkitError: a metric does not reach the required value.
    """
    from gptkit.command.eval_models import checkpoints_of

    if settings.stop is not None:
        from gptkit.command.eval_decided import evaluate_decided

        return evaluate_decided(settings)
    check_settings(settings)
    if settings.task is not None and settings.task.compares:
        return _compare(settings, settings.task)
    if settings.task is not None and len(checkpoints_of(settings)) == 1:
        return _evaluate_task(settings, settings.task)
    from gptkit.command.eval_table import evaluate_table

    return evaluate_table(settings)


def task_evaluation(settings: EvalCommand, task: TaskConfig, data: DataConfig | None, fewshot: FewShotConfig) -> TaskEvaluation:
    """Return what decides the results of a task, apart from the model."""
    from gptkit.evaluation.task_evaluation import TaskEvaluation

    return TaskEvaluation(
        task,
        data,
        fewshot,
        index=settings.index,
        index_n=settings.index_n,
        seed=settings.seed,
        samples=settings.samples,
        pass_at=settings.pass_at,
    )


def check_settings(settings: EvalCommand) -> None:
    """Check the keys that only have an effect with others.

    Raises:
        ConfigError: a key has no effect, or contradicts another one.
    """
    if settings.openai != OpenAIConfig() and SERVER not in settings.checkpoint:
        raise ConfigError(f"openai has settings of a server, such as checkpoint={SERVER}http://localhost:8000/v1; remove them")
    if settings.chat_template is not None and not settings.chat:
        raise ConfigError(f"chat_template={settings.chat_template.name} is only used with chat=true; add it")
    if settings.chat_template is not None and SERVER in settings.checkpoint:
        raise ConfigError(f"{settings.checkpoint} uses its own chat template; remove chat_template")
    if settings.index is None and settings.index_n is not None:
        raise ConfigError(f"index_n={settings.index_n} needs index=<folder>, which gptkit index writes")
    if settings.task is None:
        _check_tasks(settings)
    else:
        _check_task(settings, settings.task)


def _check_task(settings: EvalCommand, task: TaskConfig) -> None:
    if settings.tasks:
        raise ConfigError(f"task={task.name} is one task, and tasks has {', '.join(list(settings.tasks)[:3])}; remove one of them")
    if settings.groups:
        raise ConfigError("groups averages several tasks; set tasks instead of task")
    if settings.data is not None and settings.data.name == "folder":
        raise ConfigError(f"data.root has the files of several tasks; set data.path to the file of task={task.name}")
    if task.compares and settings.against is None:
        raise ConfigError(f"task={task.name} compares two models; set the second with against=<run>")
    if not task.compares and settings.against is not None:
        raise ConfigError(f"task={task.name} evaluates one model; remove against")
    if task.compares and settings.fewshot.k:
        raise ConfigError(f"task={task.name} compares two models and takes no examples in context; remove fewshot.k")
    if not task.judged and settings.reward is not None:
        raise ConfigError(f"task={task.name} uses no judge; remove reward")
    if task.compares and settings.chat:
        raise ConfigError(f"task={task.name} compares two models, each with the chat template of its training; remove chat")
    if task.compares and settings.openai != OpenAIConfig():
        raise ConfigError(f"task={task.name} compares two models in this process; remove openai")
    if task.compares and settings.index is not None:
        raise ConfigError(f"task={task.name} compares two models and has no clean and dirty items; remove index")
    if task.compares and settings.samples > 1:
        raise ConfigError(f"task={task.name} compares two models; remove samples")
    if task.compares and settings.to is not None:
        raise ConfigError(f"task={task.name} compares two models and writes no items; remove to, or redirect format=json to a file")


def _check_tasks(settings: EvalCommand) -> None:
    if not any(content is not None for content in settings.tasks.values()):
        options = ", ".join(f"task={name}" for name in sorted(registry().parts["task"]))
        raise ConfigError(f"task is required: add one of {options}, or several tasks with +eval=gpt1, gpt2 or gpt3")
    for key in ("against", "reward"):
        if getattr(settings, key) is not None:
            raise ConfigError(f"{key} is for one task; remove it, or set task instead of tasks")
    if settings.data is not None and settings.data.name != "folder":
        raise ConfigError(f"data={settings.data.name} is the source of one task; set data.root=<folder>, or tasks.<name>.data")


def _evaluate_task(settings: EvalCommand, task: TaskConfig) -> dict[str, Any]:
    """Evaluate one task with one model."""
    from gptkit.command.eval_models import load_answerer
    from gptkit.command.eval_output import print_task
    from gptkit.command.eval_requirements import check_known_metrics, check_measured
    from gptkit.data.progress import Progress
    from gptkit.evaluation.table.requirements import read_requirements
    from gptkit.evaluation.task_evaluation import evaluate_task, prepare_task
    from gptkit.generation.precision import prepare_device

    requirements = read_requirements(settings.require)
    prepared = prepare_task(task_evaluation(settings, task, settings.data, settings.fewshot))
    check_known_metrics(requirements, {task.name: prepared})
    subject = load_answerer(settings, settings.checkpoint, prepare_device())
    if prepared.overlaps is not None:
        prepared.overlaps.warn_about_other_run(subject.settings, settings.checkpoint)
    with Progress("evaluating") as progress:
        result = evaluate_task(prepared, subject, to=settings.to, batch=settings.batch, progress=progress.show)
    print_task(settings, prepared, result)
    scores = {name: metric.value for name, metric in result.metrics.items()}
    check_measured(requirements, {"": {task.name: scores}})
    return scores


def _compare(settings: EvalCommand, task: TaskConfig) -> dict[str, Any]:
    """Evaluate a task that compares two models."""
    from gptkit.command.eval_models import load_judge, load_subject
    from gptkit.command.eval_output import print_comparison
    from gptkit.command.eval_requirements import check_measured
    from gptkit.evaluation.intervals import Metric
    from gptkit.evaluation.runner import evaluate as run_task
    from gptkit.evaluation.table.requirements import read_requirements
    from gptkit.generation.precision import prepare_device

    assert settings.against is not None
    requirements = read_requirements(settings.require)
    comparison: Any = task.build(data=settings.data)
    device = prepare_device()
    subject = load_subject(settings.checkpoint, device, precision=settings.precision)
    scores: dict[str, float] = comparison(
        subject,
        against=load_subject(settings.against, device, precision=settings.precision),
        judge=load_judge(settings, task, subject, device) if task.judged else None,
        evaluate=lambda task, model: run_task(task, model, seed=settings.seed, batch=settings.batch).metrics,
        seed=settings.seed,
    )
    print_comparison(settings, task, {name: Metric(value) for name, value in scores.items()})
    check_measured(requirements, {"": {task.name: scores}})
    return scores
