"""The command `eval`: evaluates a trained model on one task, alone or against another model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptkit.errors import ConfigError
from gptkit.evaluation.config import SERVER, OpenAIConfig

if TYPE_CHECKING:
    from gptkit.command.eval_config import EvalCommand


def evaluate(settings: EvalCommand) -> dict[str, float]:
    """Print the metrics and return them.

    Raises:
        ConfigError: the task needs a second model, a judge or data and has none, or does not use one that is set.
        DataError: examples or prompts cannot be read.
        CheckpointError: a checkpoint cannot be read.
    """
    if settings.stop is not None:
        from gptkit.command.eval_decided import evaluate_decided

        return evaluate_decided(settings)
    _check_settings(settings)
    return _compare(settings) if settings.task.compares else _evaluate_task(settings)


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
    if settings.openai != OpenAIConfig() and not settings.checkpoint.startswith(SERVER):
        raise ConfigError(f"openai has settings of a server, such as checkpoint={SERVER}http://localhost:8000/v1; remove them")
    if settings.chat_template is not None and not settings.chat:
        raise ConfigError(f"chat_template={settings.chat_template.name} is only used with chat=true; add it")
    if settings.chat_template is not None and settings.checkpoint.startswith(SERVER):
        raise ConfigError(f"{settings.checkpoint} uses its own chat template; remove chat_template")
    if task.compares and settings.chat:
        raise ConfigError(f"task={task.name} compares two models, each with the chat template of its training; remove chat")
    if settings.index is None and settings.index_n is not None:
        raise ConfigError(f"index_n={settings.index_n} needs index=<folder>, which gptkit index writes")
    if task.compares and settings.index is not None:
        raise ConfigError(f"task={task.name} compares two models and has no clean and dirty items; remove index")
    if task.compares and settings.samples > 1:
        raise ConfigError(f"task={task.name} compares two models; remove samples")
    if task.compares and settings.to is not None:
        raise ConfigError(f"task={task.name} compares two models and writes no items; remove to, or redirect format=json to a file")


def _evaluate_task(settings: EvalCommand) -> dict[str, float]:
    """Evaluate one task with one model."""
    from gptkit.command.eval_models import load_answerer
    from gptkit.command.eval_output import print_task
    from gptkit.data.progress import Progress
    from gptkit.evaluation.task_evaluation import TaskEvaluation, evaluate_task, prepare_task
    from gptkit.generation.precision import best_device

    prepared = prepare_task(
        TaskEvaluation(
            settings.task,
            settings.data,
            settings.fewshot,
            index=settings.index,
            index_n=settings.index_n,
            seed=settings.seed,
            samples=settings.samples,
            pass_at=settings.pass_at,
        )
    )
    subject = load_answerer(settings, settings.checkpoint, best_device())
    if prepared.overlaps is not None:
        prepared.overlaps.warn_about_other_run(subject.settings, settings.checkpoint)
    with Progress("evaluating") as progress:
        result = evaluate_task(prepared, subject, to=settings.to, batch=settings.batch, progress=progress.show)
    print_task(settings, prepared, result)
    return {name: metric.value for name, metric in result.metrics.items()}


def _compare(settings: EvalCommand) -> dict[str, float]:
    """Evaluate a task that compares two models."""
    from gptkit.command.eval_models import load_judge, load_subject
    from gptkit.command.eval_output import print_comparison
    from gptkit.evaluation.intervals import Metric
    from gptkit.evaluation.runner import evaluate as run_task
    from gptkit.generation.precision import best_device

    assert settings.against is not None
    comparison: Any = settings.task.build(data=settings.data)
    device = best_device()
    subject = load_subject(settings.checkpoint, device, precision=settings.precision)
    scores: dict[str, float] = comparison(
        subject,
        against=load_subject(settings.against, device, precision=settings.precision),
        judge=load_judge(settings, subject, device) if settings.task.judged else None,
        evaluate=lambda task, model: run_task(task, model, seed=settings.seed, batch=settings.batch).metrics,
        seed=settings.seed,
    )
    print_comparison(settings, {name: Metric(value) for name, value in scores.items()})
    return scores
