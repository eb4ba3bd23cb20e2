"""Where configurations are found, and what can be chosen: the kit's `conf/` folder, those of plugins, and every registered part.

Nothing here imports Hydra: the help pages need it too.
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
    """(whose it is, folder) of every place that holds YAML, the kit's own first."""
    folders = [(BUILTIN_ORIGIN, Path(str(importlib.import_module("gptkit.conf").__file__)).parent)]
    for origin, package in registry().conf_packages:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations is None and spec.parent:
            spec = importlib.util.find_spec(spec.parent)  # the plugin is a module: the folder is its package's
        locations = list(spec.submodule_search_locations or []) if spec else []
        folders += [(origin, Path(location) / "conf") for location in locations if (Path(location) / "conf").is_dir()]
    return tuple(folders)


@functools.cache
def conflicting_files() -> dict[str, tuple[Origin, str]]:
    """Configurations, without their suffix, that two folders provide, or that are called like a part: whose they are, and why they
    cannot be chosen. Hydra would take the first without a word."""
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
    """The plugins of which something cannot be used, and why: also the files that another provides."""
    return (*registry().failures, *(PluginFailure(origin, reason) for origin, reason in conflicting_files().values()))


_OWN: ContextVar[tuple[Path, ...]] = ContextVar("folders of --config-dir", default=())


@contextmanager
def user_config_folder(folder: Path | None) -> Iterator[None]:
    """Inside the block, the groups of a user's folder can be chosen, too (`--config-dir`).

    Raises:
        ConfigError: there is no such folder, or it has a file that the kit or a plugin provides, which would win without a word.
    """
    if folder is None:
        yield
        return
    if not folder.is_dir():
        raise ConfigError(f"--config-dir {folder}: there is no such folder")
    for file in _user_files(folder):
        relative = file.relative_to(folder).as_posix()
        owner = next((origin for origin, known in conf_folders() if (known / relative).is_file()), None)
        if owner is not None:
            raise ConfigError(f"{file}: {owner.distribution} provides {relative}, too; rename yours")
    token = _OWN.set((folder,))
    try:
        yield
    finally:
        _OWN.reset(token)


def _user_files(folder: Path) -> list[Path]:
    """A user's primary configurations and options: not every YAML below a folder that may hold runs and data as well."""
    return sorted([*folder.glob("*.yaml"), *folder.glob("*/*.yaml")])


def user_config_folders() -> tuple[Path, ...]:
    """The folder of `--config-dir`, where one is given."""
    return _OWN.get()


def config_folders() -> tuple[Path, ...]:
    """Every folder in which a configuration may lie, a user's own first."""
    return (*user_config_folders(), *(folder for _, folder in conf_folders()))


def groups() -> dict[str, list[str]]:
    """Every group that can be chosen on the command line, with its options: kinds, trainer presets, papers."""
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
    """Those of the groups that settle a whole run, with their options."""
    return {group: options for group, options in groups().items() if group not in registry().parts and group != "trainer"}


def verb_keys(verb: str) -> set[str]:
    """The verb's own keys."""
    return {field.name for field in dataclasses.fields(registry().parts["command"][verb].part)}


def accepts_papers(verb: str) -> bool:
    """Whether the verb takes papers, which settle a whole run."""
    return "model" in verb_keys(verb)


def _size_first(option: str) -> tuple[float, str]:
    """Sizes (124m, 1.3b) by what they mean, before everything else by name."""
    size = re.fullmatch(r"(?P<number>[\d.]+)(?P<unit>[mb])", option)
    return (float(size["number"]) * {"m": 1.0, "b": 1000.0}[size["unit"]] if size else math.inf, option)
