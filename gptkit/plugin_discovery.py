"""What the kit's own kinds and installed distributions bring, asked through the same hooks.

Entry points of the group `gptkit` are loaded one by one. Whatever is wrong with one of them (it does not import, a hook fails or is
misspelt, a part is none) makes that plugin a failure that is named, and the rest works. A name that two of them claim is nobody's:
choosing it is an error that names both.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

import pluggy

from gptkit import hookspecs
from gptkit.errors import ConfigError, did_you_mean
from gptkit.hookspecs import KINDS
from gptkit.parts import Part
from gptkit.plugin_origin import BuiltinOrigin, Origin


@dataclass(frozen=True)
class Entry:
    """A part and where it comes from."""

    part: type[Any]
    origin: Origin

    @property
    def distribution(self) -> str:
        """The name of the distribution that it came with."""
        return self.origin.distribution

    @property
    def version(self) -> str:
        """The version of that distribution."""
        return self.origin.version


@dataclass(frozen=True)
class PluginFailure:
    """A plugin that could not be loaded, or of which something could not be, and why, in one line."""

    origin: Origin
    reason: str

    @property
    def display_name(self) -> str:
        """The plugin, and whose it is where that is not its own name."""
        return self.origin.display_name


@dataclass
class DiscoveredPlugins:
    """Parts by kind and name, the plugins that failed, the names that are nobody's, and the packages that carry configuration."""

    parts: dict[str, dict[str, Entry]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    failures: list[PluginFailure] = field(default_factory=list)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    conf_packages: list[tuple[Origin, str]] = field(default_factory=list)

    def add(self, kind: str, entries: list[Entry]) -> None:
        """Add what one plugin offers of a kind; a name that is taken becomes nobody's."""
        known = self.parts[kind]
        for entry in entries:
            name = part_name(kind, entry.part)
            if name in known:
                claimants = f"{known[name].origin.display_name} and {entry.origin.display_name}"
                reason = f"two plugins claim {kind}={name}: {claimants}; {UNINSTALL_HINT}"
                self.failures.append(PluginFailure(entry.origin, reason))
                self.refused[kind, name] = reason
                del known[name]
            elif (kind, name) in self.refused:
                self.failures.append(PluginFailure(entry.origin, f"it claims {kind}={name} as well as others; {UNINSTALL_HINT}"))
            else:
                known[name] = entry


UNINSTALL_HINT = "uninstall one, or name the ones to load in GPTKIT_PLUGINS"


class _PluginManager(pluggy.PluginManager):
    """pluggy's own, quicker with modules: it examines every name of a plugin, of which only functions can be hooks."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        if isinstance(plugin, ModuleType) and not isinstance(vars(plugin).get(name), FunctionType):
            return None
        return super().parse_hookimpl_opts(plugin, name)


def discover_plugins() -> DiscoveredPlugins:
    """Everything that can be plugged in, in this process."""
    manager = _PluginManager("gptkit")
    manager.add_hookspecs(hookspecs)
    discovered = DiscoveredPlugins()
    for kind in KINDS:
        origin = BuiltinOrigin(f"gptkit.{kind}")
        manager.register(importlib.import_module(origin.plugin), name=origin.plugin)
        _add_parts(manager, origin, discovered)
    _add_installed(manager, discovered)
    return discovered


def _add_installed(manager: pluggy.PluginManager, discovered: DiscoveredPlugins) -> None:
    wanted = os.environ.get("GPTKIT_PLUGINS")
    allowed = None if wanted is None else {name.strip() for name in wanted.split(",") if name.strip()}
    owners: dict[str, Origin] = {}
    for point in sorted(importlib.metadata.entry_points(group="gptkit"), key=lambda point: point.name):
        if allowed is not None and point.name not in allowed:
            continue
        origin = Origin(point.name, point.dist)
        if point.name in owners:
            first = owners[point.name].distribution
            reason = f"two installed plugins are called {point.name}: {first} and {origin.distribution}; uninstall one of them"
            discovered.failures.append(PluginFailure(origin, reason))
            continue
        owners[point.name] = origin
        try:
            plugin = point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a third party's module raises on import, also sys.exit()
            discovered.failures.append(PluginFailure(origin, format_exception_line(error)))
            continue
        try:
            _register(manager, plugin, origin)
            _add_parts(manager, origin, discovered)
        except ConfigError as error:
            discovered.failures.append(PluginFailure(origin, str(error)))
            continue
        package = plugin.__name__ if isinstance(plugin, ModuleType) else point.value.partition(":")[0]
        discovered.conf_packages.append((origin, package))
    for name in sorted((allowed or set()) - owners.keys()):
        discovered.failures.append(PluginFailure(Origin(name), "GPTKIT_PLUGINS names it, and it is not installed"))


def _register(manager: pluggy.PluginManager, plugin: Any, origin: Origin) -> None:
    try:
        manager.register(plugin, name=origin.plugin)
    except pluggy.PluginValidationError as error:
        manager.unregister(name=origin.plugin)
        raise ConfigError(
            f"a hook takes no arguments, as in def gptkit_attention(): ... ({str(error).partition(chr(10))[0]})"
        ) from error
    _check_hooks(plugin)


def _add_parts(manager: pluggy.PluginManager, origin: Origin, discovered: DiscoveredPlugins) -> None:
    """Add what a registered plugin offers: all of it, or, where something is wrong with it, nothing.

    Raises:
        ConfigError: a hook failed, or a part is none.
    """
    offers = {}
    for kind in KINDS:
        for hook in getattr(manager.hook, f"gptkit_{kind}").get_hookimpls():
            if hook.plugin_name == origin.plugin:
                offers[kind] = _call_hook(hook.function, kind, origin)
    for kind, entries in offers.items():
        discovered.add(kind, entries)


def _call_hook(hook: Callable[[], Any], kind: str, origin: Origin) -> list[Entry]:
    """What a plugin's hook of this kind returns."""
    try:
        offered = hook()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # as on import
        raise ConfigError(f"gptkit_{kind}() failed: {format_exception_line(error)}") from error
    if not isinstance(offered, (list, tuple)):
        raise ConfigError(f"gptkit_{kind}() must return a list of part classes, not {offered!r}")
    for part in offered:
        if reason := _invalid_part_reason(kind, part):
            raise ConfigError(reason)
    names = [part_name(kind, part) for part in offered]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"gptkit_{kind}() returned {kind}={twice} twice")
    return [Entry(part, origin) for part in offered]


def format_exception_line(error: BaseException) -> str:
    """An exception on one line."""
    try:
        said = str(error)
    except Exception:  # of a third party's exception that fails at that, too
        said = ""
    return f"{type(error).__name__}: {said}".partition("\n")[0]


_HOOKS = tuple(f"gptkit_{kind}" for kind in KINDS)


def _check_hooks(plugin: Any) -> None:
    """See that every function that is called like a hook is one: the others would be passed over in silence."""
    for name in dir(plugin):
        function = getattr(plugin, name, None) if name.startswith("gptkit_") else None
        if not callable(function):
            continue
        if name not in _HOOKS:
            raise ConfigError(f"there is no hook {name}.{did_you_mean(name, _HOOKS)}")
        if not hasattr(function, "gptkit_impl"):
            raise ConfigError(f"{name}() lacks @gptkit.hookimpl; write it above the function")


def part_name(kind: str, part: type[Any]) -> str:
    """The name by which a part is chosen: a verb for commands, the default of the field `name` for the rest."""
    return str(getattr(part, "verb" if kind == "command" else "name", "") or "")


def _invalid_part_reason(kind: str, part: Any) -> str:
    """Why what a hook returned cannot be a part of this kind; empty where it can."""
    if not (isinstance(part, type) and dataclasses.is_dataclass(part) and issubclass(part, Part)):
        return f"gptkit_{kind} returned {part!r}, which is no dataclass derived from gptkit.{kind}'s base class"
    expected = "Command" if kind == "command" else f"{kind.capitalize()}Config"
    if not any(base.__name__ == expected and base.__module__.startswith(f"gptkit.{kind}") for base in part.__mro__):
        return f"gptkit_{kind} returned {part.__name__}, which is no gptkit.{kind}.{expected}; use its kind's own hook"
    if "__dataclass_fields__" not in vars(part):
        return f"{part.__name__} lacks @dataclass, so its own fields would be no keys; write it above the class"
    if "__slots__" in vars(part):  # they hide the class attribute `name`; a frozen one fails on import
        return f"{part.__name__} must be a plain @dataclass, without slots"
    name = part_name(kind, part)
    if not name:
        return f"{part.__name__} has no name; give its field `{'verb' if kind == 'command' else 'name'}` a default"
    if not re.fullmatch(r"[\w.-]+", name):
        return f"{part.__name__} is called {name!r}; a name has letters, digits, '_', '-' and '.' alone"
    return ""
