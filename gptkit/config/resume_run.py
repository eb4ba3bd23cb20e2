"""Continue a run. A command that names a run folder and chooses no part takes the settings of the run from its config.yaml.

    gptkit train hydra.run.dir=runs/books                     with the same settings
    gptkit train hydra.run.dir=runs/books tokens=8_000_000    for longer

Overrides that choose the run's parts are inserted before the typed overrides, so that typed keys are checked as usual. Then every
other key gets its value from the config.yaml.
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
from gptkit.hookspecs import NAMED_KINDS
from gptkit.plugins import registry
from gptkit.run_config import RunConfig
from gptkit.training.checkpoints import config_file
from gptkit.training.checkpoints.retention import list_checkpoints

FOLDER_KEY = "hydra.run.dir"


@dataclass(frozen=True)
class ContinuedRun:
    """A run that a command continues with the run's own settings."""

    folder: Path
    content: dict[str, Any]
    """The run's settings as plain values, defaults included."""
    typed: tuple[str, ...]
    """The overrides of the command."""

    def overrides(self) -> list[str]:
        """Return the typed overrides, preceded by those that choose the run's parts."""
        kinds = [kind for kind in config_file.PART_KEYS if kind not in NAMED_KINDS and isinstance(self.content.get(kind), Mapping)]
        parts = [f"{kind}={self.content[kind]['name']}" for kind in kinds]
        if not _replaces_loggers(self.typed):
            parts.append("~logger")
        named = [
            f"+{kind}@{kind}.{name}={part['name']}"
            for kind in NAMED_KINDS
            if kind != "logger" or not _replaces_loggers(self.typed)
            for name, part in self.content[kind].items()
            if f"{kind}.{name}" not in self._typed_keys(chosen=True)
        ]
        return [*parts, *named, *self.typed]

    def _typed_keys(self, *, chosen: bool = False) -> set[str]:
        """Return the keys of the overrides that were typed.

        Args:
            chosen: only of those that choose a part under a name, as `+logger@logger.second=csv` does.
        """
        keys = (word.lstrip("+~").partition("=")[0] for word in self.typed)
        return {key.rpartition("@")[2] for key in keys if "@" in key or not chosen}

    def apply_settings(self, config: DictConfig) -> None:
        """Set every key of a composed config that was not typed to its value in the run."""
        with open_dict(config):
            _apply_values(config, self.content, self._typed_keys(), "")


def find_continued_run(verb: str, words: Sequence[str]) -> ContinuedRun | None:
    """Return the run that a command continues; None if it chooses a part or a paper, or if its folder holds no run.

    Args:
        verb: the verb of the command.
        words: the overrides in Hydra's grammar.

    Raises:
        ConfigError, CheckpointError: neither the config.yaml of the run nor those of its checkpoints can be read.
    """
    command = registry().parts["command"][verb].part
    folder = _run_folder(words)
    if folder is None or not _trains(command) or any(map(_chooses_part, words)):
        return None
    content = _read_run_settings(folder, command, with_loggers=not _replaces_loggers(words))
    return None if content is None else ContinuedRun(folder, content, tuple(words))


def describe_missing_run(verb: str, words: Sequence[str]) -> str | None:
    """Return a note for a command that only names a run folder without a run; None for any other command.

    Such a command usually continues a run, so its folder is probably mistyped.
    """
    folder = _run_folder(words)
    if folder is None or len(words) != 1 or not _trains(registry().parts["command"][verb].part):
        return None
    return f"no run exists in {folder}: starting a new run there with the default configuration"


def _trains(command: type[Any]) -> bool:
    """Whether the command trains a model in a run folder."""
    return issubclass(command, RunConfig) and issubclass(command, Command) and bool(command.writes_folder)


def _run_folder(words: Sequence[str]) -> Path | None:
    folders = [word.partition("=")[2] for word in words if word.lstrip("+").startswith(f"{FOLDER_KEY}=")]
    text = re.sub(r"\\(.)", r"\1", folders[-1].strip("'\"")) if folders else ""
    return Path(text) if text and "${" not in text else None


def _chooses_part(word: str) -> bool:
    """Whether an override chooses a part, a paper or a preset. A run may be continued with other loggers, so these do not count."""
    group = re.split(r"[=@]", word.lstrip("+~"))[0]
    return group != "logger" and group in groups()


def _replaces_loggers(words: Sequence[str]) -> bool:
    """Whether a command chooses loggers in place of the run's: `logger=csv` or none, not `+logger@logger.second=csv`."""
    return any(word == "~logger" or word.startswith("logger=") for word in words)


def _read_run_settings(folder: Path, command: type[RunConfig], *, with_loggers: bool) -> dict[str, Any] | None:
    """Read the settings of a run from its config.yaml, or else from its newest checkpoint that can be read.

    Without its loggers, a run whose logger is not installed can be continued with another one.
    """
    first_error: GptkitError | None = None
    run_config = folder / config_file.FILE
    checkpoint_configs = [checkpoint / config_file.FILE for checkpoint in list_checkpoints(folder)]
    for path in [*([run_config] if run_config.is_file() else []), *checkpoint_configs]:
        try:
            content = config_file.read_mapping(path)
            content |= {} if with_loggers else {"logger": {}}
            return config_file.to_plain(config_file.settings_from(content, command, where=str(path)))
        except GptkitError as error:
            first_error = first_error or error
    if first_error is not None:
        raise first_error
    return None


def _apply_values(node: DictConfig, content: Mapping[str, Any], typed: set[str], path: str) -> None:
    """Set every key below a node except typed keys. Removes keys of plain mappings that are neither typed nor in `content`."""
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
