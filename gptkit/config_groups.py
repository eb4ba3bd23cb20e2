"""List the folders that contain configurations, and the options of every group: built-in YAML files, those of plugins, and parts.

This module does not import Hydra, because the help pages use it.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.util
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from gptkit.errors import ConfigError
from gptkit.plugin_discovery import UNINSTALL_HINT, PluginFailure
from gptkit.plugin_origin import BUILTIN_ORIGIN, Origin
from gptkit.plugins import registry


@functools.cache
def conf_folders() -> tuple[tuple[Origin, Path], ...]:
    """Return (owner, folder) for every `conf` folder, gptkit's own first."""
    folders = [(BUILTIN_ORIGIN, Path(str(importlib.import_module("gptkit.conf").__file__)).parent)]
    for origin, package in registry().conf_packages:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations is None and spec.parent:
            spec = importlib.util.find_spec(spec.parent)  # the plugin is a module: use the folder of its package
        locations = list(spec.submodule_search_locations or []) if spec else []
        folders += [(origin, Path(location) / "conf") for location in locations if (Path(location) / "conf").is_dir()]
    return tuple(folders)


@functools.cache
def conflicting_files() -> dict[str, tuple[Origin, str]]:
    """Return the configurations that two folders provide, or that have the name of a part, with their owner and an error message.

    Names have no suffix. Hydra would silently use the first file.
    """
    conflicts = {}
    owners = {f"{kind}/{name}.yaml": entry.origin for kind, parts in registry().parts.items() for name, entry in parts.items()}
    for origin, folder in conf_folders():
        for file in sorted(folder.rglob("*.yaml")):
            relative = file.relative_to(folder).as_posix()
            if relative in owners:
                first = owners[relative].distribution
                reason = f"{origin.distribution} provides conf/{relative}, which {first} already provides; {UNINSTALL_HINT}"
                conflicts[relative.removesuffix(".yaml")] = origin, reason
            owners.setdefault(relative, origin)
    return conflicts


def plugin_failures() -> tuple[PluginFailure, ...]:
    """Return the plugins that failed to load, wholly or in part, and those whose configurations conflict with others."""
    return (*registry().failures, *(PluginFailure(origin, reason) for origin, reason in conflicting_files().values()))


_user_folders: ContextVar[tuple[Path, ...]] = ContextVar("folders of --config-dir", default=())


@contextmanager
def user_config_folder(folder: Path | None) -> Iterator[None]:
    """Make the groups of a user's folder (`--config-dir`) available inside the block.

    Raises:
        ConfigError: the folder does not exist, or it has a file that gptkit or a plugin also provides, which would silently win.
    """
    if folder is None:
        yield
        return
    if not folder.is_dir():
        raise ConfigError(f"--config-dir {folder}: the folder does not exist")
    for file in _user_files(folder):
        relative = file.relative_to(folder).as_posix()
        owner = next((origin for origin, known in conf_folders() if (known / relative).is_file()), None)
        if owner is not None:
            raise ConfigError(f"{file}: {owner.distribution} also provides {relative}; rename yours")
    token = _user_folders.set((folder,))
    try:
        yield
    finally:
        _user_folders.reset(token)


def _user_files(folder: Path) -> list[Path]:
    """Return a user's primary configurations and options. Does not search deeper, where runs and data may be."""
    return sorted([*folder.glob("*.yaml"), *folder.glob("*/*.yaml")])


def user_config_folders() -> tuple[Path, ...]:
    """Return the folder of `--config-dir`; empty without that flag."""
    return _user_folders.get()


def config_folders() -> tuple[Path, ...]:
    """Return every folder that is searched for configurations, the user's own first."""
    return (*user_config_folders(), *(folder for _, folder in conf_folders()))


def groups() -> dict[str, list[str]]:
    """Return every group that can be chosen on the command line (kinds of parts, trainer presets, papers) with its options."""
    options_by_group: dict[str, set[str]] = {kind: set(parts) for kind, parts in registry().parts.items() if kind != "command"}
    yaml_files = [(folder, list(folder.rglob("*.yaml"))) for _, folder in conf_folders()]
    yaml_files += [(folder, _user_files(folder)) for folder in user_config_folders()]
    for folder, files in yaml_files:
        for file in files:
            group = file.parent.relative_to(folder).as_posix()
            if group not in (".", "base") and not group.startswith("hydra"):
                options_by_group.setdefault(group, set()).add(file.stem)
    return {group: sorted(options, key=_size_first) for group, options in sorted(options_by_group.items()) if options}


def papers() -> dict[str, list[str]]:
    """Return the groups that configure a whole run, with their options."""
    others = {*registry().parts, *registry().parts["command"], "trainer"}
    return {group: options for group, options in groups().items() if group not in others}


def presets(verb: str) -> dict[str, list[str]]:
    """Return the groups that can be added to a verb: papers, and the group that has the name of the verb (`+eval=gpt2`)."""
    own = {verb: groups()[verb]} if verb in groups() else {}
    return own | (papers() if accepts_papers(verb) else {})


def verb_keys(verb: str) -> set[str]:
    """Return the top-level keys of a verb."""
    return {field.name for field in dataclasses.fields(registry().parts["command"][verb].part)}


def accepts_papers(verb: str) -> bool:
    """Whether the verb accepts papers, which configure a whole run."""
    return "model" in verb_keys(verb)


def _size_first(option: str) -> tuple[float, str]:
    """Sort key: sizes such as 124m and 1.3b by their value, before all other options by name."""
    size = re.fullmatch(r"(?P<number>[\d.]+)(?P<unit>[mb])", option)
    return (float(size["number"]) * {"m": 1.0, "b": 1000.0}[size["unit"]] if size else math.inf, option)
