"""How parts are found: the kit's own and those of installed distributions, through the same hooks.

Entry points of the group `gptkit` are loaded one by one, so that one broken plugin is named and the rest works.
`GPTKIT_PLUGINS` (names separated by commas; empty: none) restricts which are loaded.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.metadata
import os
import re
from dataclasses import dataclass, field
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any

import pluggy

from gptkit import hookspecs
from gptkit.errors import ConfigError, did_you_mean
from gptkit.hookspecs import KINDS
from gptkit.parts import Part


@dataclass(frozen=True)
class Entry:
    """A part and where it comes from."""

    part: type[Any]
    plugin: str
    distribution: str
    version: str


@dataclass(frozen=True)
class Failure:
    """A plugin that could not be loaded, and why, in one line."""

    plugin: str
    distribution: str
    reason: str

    @property
    def owned(self) -> str:
        """The plugin, and whose it is where that is not its own name."""
        return _owned(self.plugin, self.distribution)


@dataclass(frozen=True)
class Registry:
    """Every part by kind and name, the plugins that failed, and the packages that carry configuration."""

    parts: MappingProxyType[str, dict[str, Entry]]
    failures: tuple[Failure, ...]
    conf_packages: tuple[tuple[str, str], ...] = field(default=())
    """(distribution, importable package that holds YAML) of every plugin that has a `conf` folder."""

    def find(self, kind: str, name: str) -> Entry:
        """The part of this kind and name.

        Raises:
            ConfigError: there is none; names the nearest, and plugins that failed to load.
        """
        if kind not in self.parts:
            raise ConfigError(f"there is no kind of part called {kind}.{did_you_mean(kind, self.parts)}")
        entry = self.parts[kind].get(name)
        if entry is None:
            failed = "".join(f" The plugin {f.owned} failed to load: {f.reason}." for f in self.failures)
            raise ConfigError(f"there is no {kind}={name}.{did_you_mean(name, self.parts[kind])}{failed}")
        return entry

    def resolve(self, kind: str, settings: Any) -> Any:
        """A part from a plain mapping with `name`, as lists and dicts of parts and saved configurations hold it.

        Raises:
            ConfigError: no such part, an unknown key, or a value that does not fit.
        """
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        if isinstance(settings, Part):
            return settings
        name = settings.get("name", "") if hasattr(settings, "get") else ""
        part = self.find(kind, name).part
        try:
            return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(part), settings))
        except (OmegaConfBaseException, ValueError) as error:
            raise ConfigError(f"{kind}={name}: {str(error).partition(chr(10))[0]}") from error


class _Manager(pluggy.PluginManager):
    """pluggy's own, quicker with modules: it examines every name of a plugin, of which only functions can be hooks."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        if isinstance(plugin, ModuleType) and not isinstance(vars(plugin).get(name), FunctionType):
            return None
        return super().parse_hookimpl_opts(plugin, name)


@functools.cache
def registry() -> Registry:
    """All parts of this process, found once.

    Raises:
        ConfigError: two plugins claim one name, a hook is misspelt, or a part is no part.
    """
    manager = _Manager("gptkit")
    manager.add_hookspecs(hookspecs)
    for kind in KINDS:
        manager.register(importlib.import_module(f"gptkit.{kind}"), name=f"gptkit.{kind}")
    owners = dict.fromkeys((f"gptkit.{kind}" for kind in KINDS), ("gptkit", _version("gptkit")))
    failures, conf_packages = _load_installed(manager, owners)
    parts: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
    for plugin_name, plugin in manager.list_name_plugin():
        distribution, version = owners[plugin_name]
        for kind in KINDS:
            if not hasattr(plugin, f"gptkit_{kind}"):
                continue
            for part in _offered(plugin, kind, f"plugin {_owned(plugin_name, distribution)}"):
                _add(parts[kind], kind, Entry(part, plugin_name, distribution, version))
    return Registry(MappingProxyType(parts), tuple(failures), tuple(conf_packages))


def _offered(plugin: Any, kind: str, where: str) -> list[Any]:
    """What a plugin's hook of this kind returns."""
    hook = f"gptkit_{kind}"
    try:
        offered = getattr(plugin, hook)()
    except Exception as error:  # the stranger's, as on import
        raise ConfigError(f"{where}: {hook}() failed: {_reason(error)}") from error
    if not isinstance(offered, (list, tuple)):
        raise ConfigError(f"{where}: {hook}() must return a list of part classes, not {offered!r}")
    return list(offered)


def _reason(error: BaseException) -> str:
    """An exception on one line."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _owned(plugin: str, distribution: str) -> str:
    """A plugin, and whose it is where that is not its own name."""
    return plugin if plugin == distribution else f"{plugin} of {distribution}"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _identity(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    """Name and version of a distribution, from the first lines of its metadata: parsing all of it takes a millisecond."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    headers = dict(line.split(": ", 1) for line in text.partition("\n\n")[0].splitlines() if ": " in line)
    return headers.get("Name") or distribution.name, headers.get("Version") or distribution.version


def _load_installed(
    manager: pluggy.PluginManager, owners: dict[str, tuple[str, str]]
) -> tuple[list[Failure], list[tuple[str, str]]]:
    """Register every installed plugin; those that fail to import are returned instead."""
    wanted = os.environ.get("GPTKIT_PLUGINS")
    chosen = None if wanted is None else {name.strip() for name in wanted.split(",") if name.strip()}
    failures: list[Failure] = []
    conf_packages: list[tuple[str, str]] = []
    for point in sorted(importlib.metadata.entry_points(group="gptkit"), key=lambda point: point.name):
        if chosen is not None and point.name not in chosen:
            continue
        distribution, version = _identity(point.dist) if point.dist else (point.name, "0")
        if point.name in owners:
            raise ConfigError(
                f"two installed plugins are called {point.name}: {owners[point.name][0]} and {distribution}; uninstall one of them"
            )
        try:
            plugin = point.load()
        except (Exception, SystemExit) as error:  # whatever a stranger's module raises on import is the stranger's
            failures.append(Failure(point.name, distribution, _reason(error)))
            continue
        try:
            manager.register(plugin, name=point.name)
        except pluggy.PluginValidationError as error:
            raise ConfigError(
                f"plugin {_owned(point.name, distribution)}: a hook takes no arguments, as in def gptkit_attention(): ... "
                f"({_reason(error)})"
            ) from error
        owners[point.name] = (distribution, version)
        for caller in manager.get_hookcallers(plugin) or []:
            if not caller.has_spec():
                hooks = [f"gptkit_{kind}" for kind in KINDS]
                raise ConfigError(
                    f"plugin {_owned(point.name, distribution)}: there is no hook {caller.name}.{did_you_mean(caller.name, hooks)}"
                )
        package = plugin.__name__ if isinstance(plugin, ModuleType) else point.value.partition(":")[0]
        conf_packages.append((distribution, package))
    return failures, conf_packages


def part_name(kind: str, part: type[Any]) -> str:
    """The name by which a part is chosen: a verb for commands, the default of the field `name` for the rest."""
    return str(getattr(part, "verb" if kind == "command" else "name", "") or "")


def _add(known: dict[str, Entry], kind: str, entry: Entry) -> None:
    part, where = entry.part, f"plugin {_owned(entry.plugin, entry.distribution)}"
    if not (isinstance(part, type) and dataclasses.is_dataclass(part) and issubclass(part, Part)):
        raise ConfigError(
            f"{where}: gptkit_{kind} returned {part!r}, which is no dataclass derived from gptkit.{kind}'s base class"
        )
    if "__dataclass_fields__" not in vars(part):
        raise ConfigError(
            f"{where}: {part.__name__} lacks @dataclass, so its own fields would be no keys; write it above the class"
        )
    if "__slots__" in vars(part):  # they hide the class attribute `name`; a frozen one fails on import
        raise ConfigError(f"{where}: {part.__name__} must be a plain @dataclass, without slots")
    name = part_name(kind, part)
    if not name:
        raise ConfigError(
            f"{where}: {part.__name__} has no name; give its field `{'verb' if kind == 'command' else 'name'}` a default"
        )
    if not re.fullmatch(r"[\w.-]+", name):
        raise ConfigError(f"{where}: {part.__name__} is called {name!r}; a name has letters, digits, '_', '-' and '.' alone")
    if name in known:
        other = known[name]
        raise ConfigError(
            f"two plugins claim {kind}={name}: {_owned(other.plugin, other.distribution)} and "
            f"{_owned(entry.plugin, entry.distribution)}; "
            "uninstall one, or name the ones to load in GPTKIT_PLUGINS"
        )
    known[name] = entry
