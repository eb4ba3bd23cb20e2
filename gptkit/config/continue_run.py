"""A command that names a run folder and chooses no part continues what is there: its config.yaml takes the place of the defaults.

    gptkit train hydra.run.dir=runs/books                     as the run was begun
    gptkit train hydra.run.dir=runs/books tokens=8_000_000    and longer

The parts of the run are chosen by words in front of those that were typed, so that a typed key is one of theirs and is checked as
always; then every key that was not typed gets the value that it has in the config.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from gptkit.command import Command
from gptkit.config_groups import groups
from gptkit.errors import GptkitError
from gptkit.plugins import registry
from gptkit.run_config import RunConfig
from gptkit.training.checkpoints import config_file
from gptkit.training.checkpoints.retention import list_checkpoints

FOLDER_KEY = "hydra.run.dir"


@dataclass(frozen=True)
class ContinuedRun:
    """A run that is continued by a command which leaves its settings to it."""

    folder: Path
    content: dict[str, Any]
    """Its settings as plain values, every default spelt out."""
    typed: tuple[str, ...]
    """The words of the command."""

    def overrides(self) -> list[str]:
        """Those, behind words that choose the run's parts."""
        kinds = [kind for kind in config_file.PART_KEYS if kind != "callback" and isinstance(self.content.get(kind), Mapping)]
        parts = [f"{kind}={self.content[kind]['name']}" for kind in kinds]
        callbacks = [f"+callback@callback.{name}={part['name']}" for name, part in self.content["callback"].items()]
        return [*parts, *callbacks, *self.typed]

    def apply_settings(self, config: DictConfig) -> None:
        """Give every key of a composed tree that was not typed the value that it has in the run."""
        with open_dict(config):
            _apply_values(config, self.content, {word.lstrip("+~").partition("=")[0] for word in self.typed}, "")


def find_continued_run(verb: str, words: Sequence[str]) -> ContinuedRun | None:
    """The run that a command continues by its config.yaml; None: it chooses a part or a paper, or its folder holds no run.

    Args:
        verb: of the command.
        words: its overrides, as Hydra accepts them.

    Raises:
        ConfigError, CheckpointError: there is a config.yaml that cannot be read, and no checkpoint with another one.
    """
    command = registry().parts["command"][verb].part
    folder = _run_folder(words)
    writes_run = issubclass(command, RunConfig) and issubclass(command, Command) and command.writes_folder
    if folder is None or not writes_run or any(map(_chooses_part, words)):
        return None
    content = _read_run_settings(folder, command)
    return None if content is None else ContinuedRun(folder, content, tuple(words))


def _run_folder(words: Sequence[str]) -> Path | None:
    folders = [word.partition("=")[2] for word in words if word.lstrip("+").startswith(f"{FOLDER_KEY}=")]
    text = re.sub(r"\\(.)", r"\1", folders[-1].strip("'\"")) if folders else ""
    return Path(text) if text and "${" not in text else None


def _chooses_part(word: str) -> bool:
    """Whether a word chooses a part, a paper or a preset."""
    return re.split(r"[=@]", word.lstrip("+~"))[0] in groups()


def _read_run_settings(folder: Path, command: type[RunConfig]) -> dict[str, Any] | None:
    """The settings of the run in a folder: those with which it was last begun, or of its newest checkpoint that can be read."""
    first: GptkitError | None = None
    own = folder / config_file.FILE
    for path in [*([own] if own.is_file() else []), *(saved / config_file.FILE for saved in list_checkpoints(folder))]:
        try:
            return config_file.to_plain(config_file.read_settings(path, command))
        except GptkitError as error:
            first = first or error
    if first is not None:
        raise first
    return None


def _apply_values(node: DictConfig, content: Mapping[str, Any], typed: set[str], path: str) -> None:
    """Set every key below a node that was not typed; keys of a mapping without a class that are neither typed nor there go."""
    if OmegaConf.get_type(node) is dict:
        for key in [str(key) for key in node if str(key) not in content]:
            if not _is_or_holds(f"{path}{key}", typed):
                del node[key]
    for key, value in content.items():
        full = f"{path}{key}"
        if any(full == word or full.startswith(f"{word}.") for word in typed):
            continue
        child = node._get_node(key) if key in node else None
        if isinstance(value, Mapping) and isinstance(child, DictConfig) and not child._is_none():
            _apply_values(child, value, typed, f"{full}.")
        elif not _is_or_holds(full, typed):
            node[key] = config_file.escape_interpolations(value)


def _is_or_holds(key: str, typed: set[str]) -> bool:
    return any(word == key or word.startswith(f"{key}.") for word in typed)
