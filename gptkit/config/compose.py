"""Compose a run with Hydra, check every key against the config classes, and build the typed settings.

`compose` and `run` are the Python API. Everything that the command line does is available through them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, open_dict

from gptkit.command import Command, TrainCommand
from gptkit.config.config_store import register_configs
from gptkit.config.defaults_list import check_config_files
from gptkit.config.hydra_errors import translate_hydra_errors
from gptkit.config.inherit_from_weights import apply_weights_sizes, inherit_settings
from gptkit.config.overrides import normalize_overrides
from gptkit.config.python_overrides import format_overrides
from gptkit.config.resume_run import ContinuedRun, find_continued_run
from gptkit.config.typed_config import build_settings
from gptkit.errors import ConfigError, did_you_mean
from gptkit.plugins import registry


@dataclass
class Run:
    """A composed and typed configuration, and the folder that the run writes."""

    settings: Command
    folder: Path
    overrides: tuple[str, ...] = ()


def compose(verb: str, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Run:
    """Compose a run as the command line does, also inside a Hydra job.

    Args:
        verb: a verb, such as "train".
        overrides: strings as on the command line, such as ["+gpt2=124m", "optimizer.lr=3e-4"], or a mapping of keys to values,
            such as {"+gpt2": "124m", "optimizer": {"lr": 3e-4}}, in which text needs no quotes.

    Raises:
        ConfigError: the command line would reject the verb or the overrides.
    """
    if verb not in registry().parts["command"]:
        registry().check_choice("command", verb)
        raise ConfigError(f"there is no verb {verb}.{did_you_mean(verb, registry().parts['command'])}")
    register_configs()
    words = format_overrides(verb, overrides) if isinstance(overrides, Mapping) else list(overrides)
    typed = normalize_overrides(verb, words, multirun=False)
    check_config_files(verb, verb, typed)
    continued = find_continued_run(verb, typed)
    words = typed if continued is None else continued.overrides()
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with translate_hydra_errors(verb, words), initialize_config_module("gptkit.conf", version_base="1.3", job_name="gptkit"):
            config = hydra_compose(verb, overrides=words, return_hydra_config=True)
            folder = Path(str(config.hydra.run.dir))
        with open_dict(config):
            del config["hydra"]
    finally:
        GlobalHydra.instance().hydra = outer
    return run_from_config(verb, config, folder, typed, continued)


def run_from_config(
    verb: str, config: DictConfig, folder: Path, overrides: Sequence[str], continued: ContinuedRun | None = None
) -> Run:
    """Build a typed run from a composed config.

    Args:
        verb: the verb of the run.
        config: the composed config.
        folder: the folder that the run writes.
        overrides: the overrides of the command line.
        continued: the run that provides the values of all other keys.

    Raises:
        ConfigError: a key is unknown, the name of a part does not match its class, or a value is missing or invalid.
    """
    if continued is not None:
        continued.apply_settings(config)
        return Run(build_settings(verb, config), folder, tuple(overrides))
    try:
        settings = build_settings(verb, config)
    except ConfigError:
        if not config.get("init_from"):
            raise
        settings = build_settings(verb, apply_weights_sizes(config, overrides))
    return Run(inherit_settings(settings, overrides), folder, tuple(overrides))


def run(run: Run, callbacks: Sequence[Any] = ()) -> Any:
    """Run a composed run and return the result of its verb.

    Args:
        run: returned by `compose`.
        callbacks: Lightning callbacks for a training run, besides those of its settings.

    Raises:
        ConfigError: callbacks for a verb that does not train.
    """
    if not callbacks:
        return run.settings.execute(run.folder)
    if not isinstance(run.settings, TrainCommand):
        raise ConfigError(f"gptkit {run.settings.verb} takes no callbacks, which observe gptkit train")
    return run.settings.execute(run.folder, callbacks)
