"""The models that `gptkit eval` evaluates, and the judge of comparisons."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gptkit.chat_template.choice import config_of, missing_template
from gptkit.errors import ConfigError
from gptkit.evaluation.config import SERVER
from gptkit.evaluation.model_answerer import ModelAnswerer
from gptkit.generation.precision import decoding_dtype
from gptkit.plugins import registry
from gptkit.task.comparison import Subject
from gptkit.training.checkpoints.load import load, load_objective, load_tokenizer, run_settings
from gptkit.user_files import expand_path

if TYPE_CHECKING:
    import torch

    from gptkit.chat_template.base import ChatTemplate
    from gptkit.command.eval_config import EvalCommand
    from gptkit.evaluation.answerer import Answerer
    from gptkit.evaluation.config import OpenAIConfig
    from gptkit.reward.base import Reward
    from gptkit.task import TaskConfig


def checkpoints_of(settings: EvalCommand) -> list[str]:
    """Return the checkpoints of `checkpoint=a,b`. A folder whose name has a comma is one checkpoint."""
    text = settings.checkpoint
    if "," not in text or expand_path(text.removeprefix("hf:")).exists():
        return [text]
    checkpoints = [part.strip() for part in text.split(",")]
    if not all(checkpoints):
        raise ConfigError(f"checkpoint={text} has an empty name between two commas, or at an end; remove the comma")
    return checkpoints


def model_names(checkpoints: Sequence[str]) -> dict[str, str]:
    """Return the checkpoints by short names, which can be names of folders: as many of the last parts of a path as differ.

    Raises:
        ConfigError: a checkpoint is given twice.
    """
    for checkpoint in checkpoints:
        if checkpoints.count(checkpoint) > 1:
            raise ConfigError(f"checkpoint={checkpoint} is given twice; remove one")
    paths = [[part for part in re.split(r"[/:]+", checkpoint) if part.strip(".")] or ["model"] for checkpoint in checkpoints]
    longest = max(map(len, paths))
    for parts in range(1, longest + 1):
        names = [re.sub(r"[^\w.+-]", "_", "-".join(path[-parts:])).lstrip(".-") or "model" for path in paths]
        if len(set(names)) == len(names):
            return dict(zip(names, checkpoints, strict=True))
    return {f"{name}-{number}": checkpoint for number, (name, checkpoint) in enumerate(zip(names, checkpoints, strict=True), 1)}


def load_answerer(settings: EvalCommand, source: str, device: torch.device) -> Subject | Answerer:
    """Load a model with its tokenizer, or connect to a server.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        GptkitError: the server does not answer.
    """
    if source.startswith(SERVER):
        return load_server(source, settings.openai, chat=settings.chat)
    subject = load_subject(source, device, precision=settings.precision)
    return ModelAnswerer(subject, chat=load_chat_template(settings, subject)) if settings.chat else subject


def load_chat_template(settings: EvalCommand, subject: Subject) -> ChatTemplate:
    """Return the template of the settings, or else that of the model.

    Raises:
        ConfigError: there is none.
    """
    config = settings.chat_template or config_of(subject.settings, subject.tokenizer)
    if config is None:
        raise missing_template(subject.source)
    return config.build(tokenizer=subject.tokenizer)


def load_subject(source: str, device: torch.device, *, precision: str) -> Subject:
    """Load a model with its tokenizer.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ConfigError: it is a server.
    """
    if source.startswith(SERVER):
        raise ConfigError(f"{source} is a server, and this needs the weights of the model; name a run, a checkpoint, or hf:...")
    model, tokenizer = load(source)
    model.to(device=device, dtype=decoding_dtype(precision, device))
    return Subject(model, tokenizer, source, run_settings(source))


def load_server(source: str, settings: OpenAIConfig, *, chat: bool = False) -> Answerer:
    """Connect to an OpenAI-compatible server.

    Raises:
        ConfigError: the address is invalid, the server does not have the model, or the package openai is not installed.
        GptkitError: the server does not answer.
    """
    try:
        from gptkit.evaluation.openai.answerer import OpenAIAnswerer
        from gptkit.evaluation.openai.server import connect
    except ImportError:
        raise ConfigError(f"checkpoint={source} needs the package openai: pip install gptkit[openai]") from None

    tokenizer = None if settings.tokenizer is None else load_tokenizer(settings.tokenizer)
    generating = [name for name, entry in registry().parts["task"].items() if getattr(entry.part, "generates", False)]
    return OpenAIAnswerer(connect(source, settings), tokenizer=tokenizer, chat=chat, generating=generating)


def load_judge(settings: EvalCommand, task: TaskConfig, subject: Subject, device: torch.device) -> Reward:
    """Return the judge of the settings, or else the reward with which the evaluated run was trained.

    Raises:
        ConfigError: there is neither.
    """
    run_reward = subject.settings.get("reward")
    if settings.reward is None and not run_reward:
        raise ConfigError(
            f"task={task.name} needs a judge, and {subject.source} was trained without a reward; set reward=, "
            "for example reward=model reward.checkpoint=<run of objective=reward>, or reward=lexicon"
        )
    judge: Reward = registry().resolve("reward", settings.reward or run_reward).build(load=load_objective)
    judge.to(device)
    return judge
