"""The lines for people with which a run begins and ends."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import lightning

from gptkit.data import DataConfig
from gptkit.model.base import parameter_count
from gptkit.objective import AuxLMConfig
from gptkit.objective.pretraining_mix import mixed_in
from gptkit.run_config import RunConfig
from gptkit.terminal import show
from gptkit.training.duration import decided_by
from gptkit.training.reporting.report import FILE as REPORT
from gptkit.training.strategies import is_first

if TYPE_CHECKING:
    from gptkit.training.module import TrainModule


def say(line: str) -> None:
    """A line for people, on standard error, from the first process alone."""
    if is_first():
        show(line, sys.stderr)


def first_line(module: TrainModule, trainer: lightning.Trainer) -> str:
    """What is trained, on what, for how long, and where."""
    settings, state = module.settings, module.state
    kind = trainer.strategy.root_device.type
    device = f"{trainer.world_size} x {kind}" if trainer.world_size > 1 else kind
    verb = f"continuing at step {state.step:,}" if state.step else "training"
    frozen = "" if any(parameter.requires_grad for parameter in module.model.parameters()) else " frozen"
    own = sum(parameter.numel() for parameter in module.objective.parameters() if parameter.requires_grad)
    beside = f" and {own:,} of objective={settings.objective.name}" if own else ""
    key = settings.objective.mixes_in()
    beside_data = f", {mixed_in(getattr(settings.objective, key))}" if key else ""
    up_to = "" if module.datasets["train"].lengths() is None else "up to "
    return (
        f"{verb}: {settings.model.name} of {parameter_count(module.model):,}{frozen} parameters{beside}, "
        f"on {source(settings.data)}, {settings.tokenizer.name} tokenizer of {module.tokenizer.size:,} ids, "
        f"{state.last_step:,} step{'s' if state.last_step > 1 else ''} of {settings.batch.size} x {up_to}{settings.model.context} "
        f"tokens{decided_by(settings)}, {module.objective.describe(module.datasets)}{beside_data}, "
        f"{device}, {trainer.precision}, in {module.folder}"
    )


def source(data: DataConfig) -> str:
    """A source by its name, and the path that it reads where it has one."""
    path = getattr(data, "path", None)
    paths = [str(each) for each in path] if isinstance(path, list) else [str(path)] if path else []
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{data.name} ({paths[0]}{more})" if paths else data.name


def last_line(settings: RunConfig, folder: Path) -> str:
    """Where the report of a finished run is, and the command that uses its model."""
    return f"report: {folder / REPORT}; to use it: {command(settings, folder)}"


def command(settings: RunConfig, folder: Path) -> str:
    """The command that uses what a run has trained: labels, judges, or writes text."""
    run, text = shlex.quote(str(folder)), 'prompt="..."'
    if isinstance(settings.objective, AuxLMConfig):
        return f"gptkit predict checkpoint={run} input=texts.csv"
    if not settings.objective.writes:
        return f"gptkit generate checkpoint={shlex.quote(settings.init_from or 'runs/policy')} {text} best_of=4 reward={run}"
    return f"gptkit generate checkpoint={run} {text}"
