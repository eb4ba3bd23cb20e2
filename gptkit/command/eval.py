"""The command `eval`: evaluates a trained model on one task, alone or against another model."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from gptkit.errors import ConfigError
from gptkit.plugins import registry
from gptkit.terminal import print_text, write_result

if TYPE_CHECKING:
    import torch

    from gptkit.command import EvalCommand
    from gptkit.reward.base import Reward
    from gptkit.task.base import Subject


def evaluate(settings: EvalCommand) -> dict[str, float]:
    """Print the scores and return them.

    Raises:
        ConfigError: the task needs a second model, a judge or data and has none, or does not use one that is set.
        DataError: examples or prompts cannot be read.
        CheckpointError: a checkpoint cannot be read.
    """
    task = settings.task
    if task.compares and settings.against is None:
        raise ConfigError(f"task={task.name} compares two models; set the second with against=<run>")
    if not task.compares and settings.against is not None:
        raise ConfigError(f"task={task.name} evaluates one model; remove against")
    if not task.judged and settings.reward is not None:
        raise ConfigError(f"task={task.name} uses no judge; remove reward")
    built = task.build(data=settings.data)

    from gptkit.generation.precision import best_device

    device = best_device()
    subject = _load_subject(settings, settings.checkpoint, device)
    against = None if settings.against is None else _load_subject(settings, settings.against, device)
    judge = _load_judge(settings, subject, device) if task.judged else None
    scores = built(subject, against=against, judge=judge, seed=settings.seed)
    if settings.format == "json":
        write_result(_as_json(settings, scores) + "\n")
    else:
        print_text(_as_table(scores))
    return scores


def _load_subject(settings: EvalCommand, source: str, device: torch.device) -> Subject:
    from gptkit.generation.precision import decoding_dtype
    from gptkit.task.base import Subject
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


def _as_json(settings: EvalCommand, scores: dict[str, float]) -> str:
    head = {"task": settings.task.name, "checkpoint": settings.checkpoint, "against": settings.against, "seed": settings.seed}
    return json.dumps({**head, "settings": dataclasses.asdict(settings.task), "scores": scores}, ensure_ascii=False)


def _as_table(scores: dict[str, float]) -> str:
    width = max(map(len, scores), default=0)
    return "\n".join(f"{name:<{width}}  {_format_score(value)}" for name, value in scores.items())


def _format_score(value: float) -> str:
    """Format counts as integers, and other scores with four decimals."""
    return f"{value:,.0f}" if value == int(value) and abs(value) >= 2 else f"{value:.4f}"
