"""Builds the components of a run in the order of their dependencies, and loads the initial or restored weights."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gptkit.data.dataset import Dataset
from gptkit.data.progress import Progress
from gptkit.data.tokens.tokenization import verify_shards
from gptkit.errors import ConfigError
from gptkit.model import ModelConfig
from gptkit.model.adapted import add_adapter
from gptkit.model.base import Model
from gptkit.model.fingerprint import state_fingerprint
from gptkit.objective.base import Objective
from gptkit.objective.rollout_objective import RolloutObjective, reward_unused
from gptkit.optimizer import OptimizerConfig
from gptkit.plugins import registry
from gptkit.run_config import RunConfig
from gptkit.tokenizer.base import Tokenizer
from gptkit.training.checkpoints.adapters import describe_base, load_adapted, load_trained_weights
from gptkit.training.checkpoints.checkpoint import Checkpoint
from gptkit.training.checkpoints.load import InitialWeights, base_weights, initial_weights, load_objective
from gptkit.training.checkpoints.manifest import Base
from gptkit.training.checkpoints.model_weights import load_weights, restore_objective
from gptkit.training.device_memory import REPLICATED_STRATEGIES
from gptkit.training.ema import EMA
from gptkit.training.precision import convert_weights, default_dtype
from gptkit.training.resume_compatibility import check_same_sources

_log = logging.getLogger("gptkit")


@dataclass
class Components:
    """The components of a run."""

    model: Model
    objective: Objective
    tokenizer: Tokenizer
    datasets: dict[str, Dataset]
    sources: dict[str, str]
    """Fingerprints of the training data, by the key of the source."""
    ema: EMA | None = None
    """The moving average of the model's weights, if the run keeps one."""
    base: Base | None = None
    """What identifies the base of the model's adapter, if it has one."""


def build_components(
    settings: RunConfig,
    checkpoint: Checkpoint | None = None,
    state: dict[str, Any] | None = None,
    *,
    folder: Path = Path(),
    dtype: torch.dtype = torch.float32,
) -> Components:
    """Build tokenizer, datasets, objective and model.

    The weights come from the checkpoint, `init_from`, the model part, or the random initialisation.

    Args:
        settings: the settings of the run.
        checkpoint: the checkpoint from which to resume.
        state: the training state of that checkpoint.
        folder: the run folder, relative to which checkpoints record the base of an adapter.
        dtype: the dtype in which weights are stored.
    """
    data = settings.data.build()
    if checkpoint is not None and state is not None:  # before the data are processed
        check_same_sources(checkpoint.folder, state["sources"], {"data": data.fingerprint})
    weights: InitialWeights | None = None
    if checkpoint is not None:
        tokenizer = checkpoint.tokenizer
    elif settings.init_from is not None:
        weights = initial_weights(settings.init_from, settings.tokenizer)
        tokenizer = weights.tokenizer
        _warn_about_initial_weights(settings, weights.run)
    else:
        with Progress("learning a tokenizer") as progress:
            tokenizer = settings.tokenizer.build(texts=_with_progress(data.texts(), progress))
    torch.manual_seed(settings.seed)
    objective = settings.objective.build(tokenizer=tokenizer, context=settings.model.context, width=settings.model.width)
    objective.load, objective.seed = load_objective, settings.seed
    if settings.chat_template is not None:
        objective.chat_template = settings.chat_template.build(tokenizer=tokenizer)
    if settings.reward is not None:
        if not isinstance(objective, RolloutObjective):
            raise reward_unused(settings.objective.name)
        objective.use_reward(settings.reward.build(load=load_objective))
    with verify_shards(settings.verify):
        datasets = objective.datasets(data, validation_fraction=settings.val.fraction)
    sources = {"data": data.fingerprint, **objective.sources}
    if checkpoint is not None and state is not None:
        check_same_sources(checkpoint.folder, state["sources"], sources)
    model = settings.model.build(attention=settings.attention, vocabulary=tokenizer.size + settings.objective.added_tokens)
    model.to(dtype)
    convert_weights(objective, dtype)
    ema: EMA | None = None
    base: Base | None = None
    if checkpoint is not None:
        base = checkpoint.manifest.base
        if base is None:
            load_weights(model, checkpoint.model_state, str(checkpoint.folder))
        else:
            load_adapted(model, base_weights(checkpoint), checkpoint, tokens=tokenizer.size)
        with default_dtype(dtype):
            restore_objective(objective, model, checkpoint)
    else:
        initial_state = settings.model.weights() if weights is None else weights.state
        if initial_state is None and settings.objective.needs_trained_model:
            _log.warning(
                "objective=%s starts from random weights; set init_from=<a run> to start from a trained model",
                settings.objective.name,
            )
        random_state = {name: tensor for name, tensor in model.state_dict().items() if not objective.is_transferred(model, name)}
        if initial_state is None and random_state:
            raise ConfigError(
                f"objective={settings.objective.name} loads only a part of the weights (objective.transfer_layers), and there is "
                "no model to load them from; set init_from=<a run>, or remove objective.transfer_layers"
            )
        if initial_state is not None:
            load_weights(
                model,
                {**initial_state, **random_state},
                settings.init_from or f"model={settings.model.name}",
                tokens=tokenizer.size,
            )
        if settings.adapter is not None:
            base = _add_adapter(settings, folder, model, initial_state, weights)
        objective.start(model)
    convert_weights(objective, dtype)  # again: `start` and `restore` may have added copies of other models
    objective.freeze(model)
    if settings.ema:
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ConfigError(
                f"ema={settings.ema:g} averages the model's weights, and objective={settings.objective.name} trains none of them; "
                "remove ema"
            )
        ema = EMA(model, settings.ema)
        if checkpoint is not None and state is not None:
            load_trained_weights(model, state["weights"], str(checkpoint.folder))
    return Components(model, objective, tokenizer, datasets, sources, ema, base)


def check_adapter(settings: RunConfig) -> None:
    """Check that a run can train its adapter.

    Raises:
        ConfigError: it cannot.
    """
    if settings.adapter is None:
        return
    name = f"adapter={settings.adapter.name}"
    if settings.init_from is None and type(settings.model).weights is ModelConfig.weights:
        raise _needs_base(settings.adapter.name)
    if settings.objective.added_tokens:
        raise ConfigError(
            f"{name}: objective={settings.objective.name} adds tokens, whose embeddings an adapter does not train; remove adapter"
        )
    strategy = settings.trainer.get("strategy", "auto")
    if strategy not in REPLICATED_STRATEGIES:
        raise ConfigError(f"{name} needs the whole model on every device; use trainer.strategy=ddp, not {strategy}")


def _needs_base(name: str) -> ConfigError:
    return ConfigError(
        f"adapter={name} is trained on top of a trained model, and there is none; set init_from=<a run or hf:...>, or remove "
        "adapter"
    )


def _add_adapter(
    settings: RunConfig, folder: Path, model: Model, state: Mapping[str, Tensor] | None, weights: InitialWeights | None
) -> Base:
    """Add the run's adapter to a model that has its initial weights, and return what identifies these weights."""
    assert settings.adapter is not None
    if state is None:
        raise _needs_base(settings.adapter.name)
    add_adapter(model, settings.adapter, seed=settings.seed)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"adapter={settings.adapter.name} adds no weights to model={settings.model.name}; choose another adapter")
    fingerprint = weights.fingerprint if weights is not None else ""
    source = weights.source if weights is not None else None
    return describe_base(folder, source, settings.model, fingerprint=fingerprint or state_fingerprint(state))


def _with_progress(texts: Iterable[str], progress: Progress) -> Iterator[str]:
    """Yield the texts and shows how many were read. Tokenizers that are not trained read none."""
    characters = 0
    for number, text in enumerate(texts, 1):
        characters += len(text)
        progress.show(None, f"from {number:,} texts, {characters:,} characters")
        yield text


def _warn_about_initial_weights(settings: RunConfig, before: Mapping[str, Any]) -> None:
    """Warn if a policy starts from a model that generates no text, or if the chat template differs from that of the weights."""
    objective: Mapping[str, Any] = before.get("objective") or {}
    entry = registry().parts["objective"].get(objective.get("name", ""))
    if settings.objective.needs_trained_model and entry is not None and not entry.part.generates_text:
        _log.warning(
            "init_from=%s was trained with objective=%s and no longer generates text; start a policy from a model trained with "
            "objective=sft",
            settings.init_from,
            entry.part.name,
        )
    template: Mapping[str, Any] | None = before.get("chat_template")
    if template and settings.chat_template is not None and template != dataclasses.asdict(settings.chat_template):
        _log.warning(
            "init_from=%s was trained with chat_template=%s, and this run uses chat_template=%s; leave chat_template out to keep "
            "its format",
            settings.init_from,
            template.get("name"),
            settings.chat_template.name,
        )


CONSTANT_LR = "steady"
"""Key of a parameter group whose learning rate stays constant, whatever the schedule."""


def build_optimizer(
    settings: OptimizerConfig, parameters: Iterable[tuple[str, torch.nn.Parameter]], rates: Mapping[str, float]
) -> torch.optim.Optimizer:
    """Build one optimizer over all trained parameters.

    Args:
        settings: the config; its `lr` is the peak learning rate of every parameter that `rates` does not name.
        parameters: names, which begin with `model.` or `objective.`, and tensors.
        rates: constant learning rates by prefix of the objective's parameter names.
    """
    shared: list[tuple[str, torch.nn.Parameter]] = []
    by_prefix: dict[str, list[tuple[str, torch.nn.Parameter]]] = {prefix: [] for prefix in rates}
    for name, parameter in parameters:
        prefix = next((prefix for prefix in rates if name.startswith(f"objective.{prefix}")), None)
        (shared if prefix is None else by_prefix[prefix]).append((name, parameter))
    optimizer = settings.build(parameters=shared)
    for prefix, named_parameters in by_prefix.items():
        for group in dataclasses.replace(settings, lr=rates[prefix]).build(parameters=named_parameters).param_groups:
            optimizer.add_param_group({**group, CONSTANT_LR: True})
    return optimizer
