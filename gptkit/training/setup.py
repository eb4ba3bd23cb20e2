"""The pieces that a run is made of, in the order in which they need one another, and where the weights come from."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from gptkit.data.dataset import Dataset
from gptkit.data.progress import Progress
from gptkit.data.tokens.tokenization import verify_shards
from gptkit.errors import ConfigError
from gptkit.model.base import Model
from gptkit.objective.base import Objective
from gptkit.objective.rollout_objective import RolloutObjective, reward_unused
from gptkit.optimizer import OptimizerConfig
from gptkit.plugins import registry
from gptkit.run_config import RunConfig
from gptkit.tokenizer.base import Tokenizer
from gptkit.training.checkpoints.checkpoint import Checkpoint
from gptkit.training.checkpoints.load import InitialWeights, initial_weights, load_objective, load_weights, restore_objective
from gptkit.training.ema import EMA
from gptkit.training.precision import convert_weights, default_dtype
from gptkit.training.resume_compatibility import check_same_sources

_log = logging.getLogger("gptkit")


@dataclass
class Components:
    """What a run is made of."""

    model: Model
    objective: Objective
    tokenizer: Tokenizer
    datasets: dict[str, Dataset]
    sources: dict[str, str]
    """Fingerprints of what is learned from, by the key that names it."""
    ema: EMA | None = None
    """Of the model's weights, where one is kept."""


def build_components(
    settings: RunConfig,
    checkpoint: Checkpoint | None = None,
    state: dict[str, Any] | None = None,
    *,
    dtype: torch.dtype = torch.float32,
) -> Components:
    """Make tokenizer, datasets, objective and model: weights from the checkpoint, `init_from`, the model itself, or random.

    Args:
        settings: of the run.
        checkpoint: to continue from, with
        state: what it kept beside the weights.
        dtype: the format in which weights are kept.
    """
    data = settings.data.build()
    if checkpoint is not None and state is not None:  # before anything is computed from it
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
    if checkpoint is not None:
        load_weights(model, checkpoint.model_state, str(checkpoint.folder))
        with default_dtype(dtype):
            restore_objective(objective, model, checkpoint)
    else:
        initial_state = settings.model.weights() if weights is None else weights.state
        if initial_state is None and settings.objective.needs_trained_model:
            _log.warning("objective=%s begins with random weights; init_from=<a run> gives it a model", settings.objective.name)
        random_state = {name: tensor for name, tensor in model.state_dict().items() if not objective.is_transferred(model, name)}
        if initial_state is None and random_state:
            raise ConfigError(
                f"objective={settings.objective.name} is told to take over a part of the weights only (transfer_layers), and there "
                "are none to take it from: give init_from=<a run>, or leave it out"
            )
        if initial_state is not None:
            load_weights(
                model,
                {**initial_state, **random_state},
                settings.init_from or f"model={settings.model.name}",
                tokens=tokenizer.size,
            )
        objective.start(model)
    convert_weights(objective, dtype)  # copies of other models, too
    objective.freeze(model)
    if settings.ema:
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ConfigError(
                f"ema={settings.ema:g} averages the model's weights, and objective={settings.objective.name} trains none; "
                "leave it out"
            )
        ema = EMA(model, settings.ema)
        if checkpoint is not None and state is not None:
            load_weights(model, state["weights"], str(checkpoint.folder))
    return Components(model, objective, tokenizer, datasets, sources, ema)


def _with_progress(texts: Iterable[str], progress: Progress) -> Iterator[str]:
    """The texts, while it is said how many were read; a tokenizer that learns nothing reads none."""
    characters = 0
    for number, text in enumerate(texts, 1):
        characters += len(text)
        progress.show(None, f"from {number:,} texts, {characters:,} characters")
        yield text


def _warn_about_initial_weights(settings: RunConfig, before: Mapping[str, Any]) -> None:
    """Where a reward model is to be a policy, or a model is asked in another form than the one in which it learned to answer."""
    learned: Mapping[str, Any] = before.get("objective") or {}
    known = registry().parts["objective"].get(learned.get("name", ""))
    if settings.objective.needs_trained_model and known is not None and not known.part.generates_text:
        _log.warning(
            "init_from=%s was trained with objective=%s and no longer writes text; a policy begins as the model of demonstrations",
            settings.init_from,
            known.part.name,
        )
    taught, asks = learned.get("template"), getattr(settings.objective, "template", None)
    if taught is not None and asks is not None and taught != asks:
        _log.warning(
            "init_from=%s learned with objective.template=%s, and this run reads with objective.template=%s; "
            "give objective.template=%s to go on in the same form",
            settings.init_from,
            taught,
            asks,
            taught,
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
    own: dict[str, list[tuple[str, torch.nn.Parameter]]] = {prefix: [] for prefix in rates}
    for name, parameter in parameters:
        prefix = next((prefix for prefix in rates if name.startswith(f"objective.{prefix}")), None)
        (shared if prefix is None else own[prefix]).append((name, parameter))
    optimizer = settings.build(parameters=shared)
    for prefix, named in own.items():
        for group in dataclasses.replace(settings, lr=rates[prefix]).build(parameters=named).param_groups:
            optimizer.add_param_group({**group, CONSTANT_LR: True})
    return optimizer
