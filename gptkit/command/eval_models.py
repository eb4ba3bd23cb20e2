"""The models that `gptkit eval` evaluates, and the judge of comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptkit.errors import ConfigError
from gptkit.generation.precision import decoding_dtype
from gptkit.plugins import registry
from gptkit.task.comparison import Subject
from gptkit.training.checkpoints.load import load, load_objective, run_settings

if TYPE_CHECKING:
    import torch

    from gptkit.command.eval_config import EvalCommand
    from gptkit.reward.base import Reward


def load_subject(source: str, device: torch.device, *, precision: str) -> Subject:
    """Load a model with its tokenizer.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    model, tokenizer = load(source)
    model.to(device=device, dtype=decoding_dtype(precision, device))
    return Subject(model, tokenizer, source, run_settings(source))


def load_judge(settings: EvalCommand, subject: Subject, device: torch.device) -> Reward:
    """Return the judge of the settings, or else the reward with which the evaluated run was trained.

    Raises:
        ConfigError: there is neither.
    """
    run_reward = subject.settings.get("reward")
    if settings.reward is None and not run_reward:
        raise ConfigError(
            f"task={settings.task.name} needs a judge, and {subject.source} was trained without a reward; set reward=, "
            "for example reward=model reward.checkpoint=<run of objective=reward>, or reward=lexicon"
        )
    judge: Reward = registry().resolve("reward", settings.reward or run_reward).build(load=load_objective)
    judge.to(device)
    return judge
