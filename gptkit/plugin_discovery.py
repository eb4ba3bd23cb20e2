"""Discover the parts of the built-in kinds and of installed plugins, through the same hooks.

Entry points of the group `gptkit` are loaded one by one. A plugin that fails (it does not import, a hook raises or is misspelt, a
returned class is not a part) is reported by name, and the others still work. If two plugins claim the same name, neither gets it:
choosing the name raises an error that names both.
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
    """A part and its plugin."""

    part: type[Any]
    origin: Origin

    @property
    def distribution(self) -> str:
        """The name of the distribution that contains the part."""
        return self.origin.distribution

    @property
    def version(self) -> str:
        """The version of that distribution."""
        return self.origin.version


@dataclass(frozen=True)
class PluginFailure:
    """A plugin that failed to load, wholly or in part, and the reason in one line."""

    origin: Origin
    reason: str

    @property
    def display_name(self) -> str:
        """The name of the plugin, and of its distribution if that differs."""
        return self.origin.display_name


@dataclass
class DiscoveredPlugins:
    """Parts by kind and name, failed plugins, names that cannot be chosen, and packages that contain configurations."""

    parts: dict[str, dict[str, Entry]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    failures: list[PluginFailure] = field(default_factory=list)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    conf_packages: list[tuple[Origin, str]] = field(default_factory=list)

    def add(self, kind: str, entries: list[Entry]) -> None:
        """Add the parts of one plugin. A name that two plugins claim is removed."""
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
                self.failures.append(PluginFailure(entry.origin, f"other plugins also claim {kind}={name}; {UNINSTALL_HINT}"))
            else:
                known[name] = entry


RENAMED = {("task", "likely_option"): "task=likely_option is now called task=choice"}
"""Former names of built-in parts, by kind, each with the message for its use. Configurations of earlier runs are migrated."""

PLUGIN_OF = {
    ("adapter", "lora"): "gptkit-peft",
    ("attention", "xformers"): "gptkit-xformers",
    ("data", "hf"): "gptkit-hf",
    ("model", "hf"): "gptkit-hf",
    ("tokenizer", "hf"): "gptkit-hf",
}
"""The packages that provide well-known parts, by kind and name, for the message where they are not installed."""


def install_hint(kind: str, name: str) -> str:
    """Return ": pip install <package>" for a part of a well-known plugin that is not installed, or an empty string."""
    package = PLUGIN_OF.get((kind, name))
    return f": pip install {package}" if package else ""


UNINSTALL_HINT = "uninstall one, or name the ones to load in GPTKIT_PLUGINS"


class _PluginManager(pluggy.PluginManager):
    """A PluginManager that considers only the functions of a module. pluggy's own accesses every attribute."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        if isinstance(plugin, ModuleType) and not isinstance(vars(plugin).get(name), FunctionType):
            return None
        return super().parse_hookimpl_opts(plugin, name)


def discover_plugins() -> DiscoveredPlugins:
    """Discover all parts."""
    manager = _PluginManager("gptkit")
    manager.add_hookspecs(hookspecs)
    discovered = DiscoveredPlugins()
    for kind in KINDS:
        origin = BuiltinOrigin(f"gptkit.{kind}")
        manager.register(importlib.import_module(origin.plugin), name=origin.plugin)
        _add_parts(manager, origin, discovered)
    discovered.refused.update(RENAMED)
    _add_installed(manager, discovered)
    return discovered


def _add_installed(manager: pluggy.PluginManager, discovered: DiscoveredPlugins) -> None:
    variable = os.environ.get("GPTKIT_PLUGINS")
    allowed = None if variable is None else {name.strip() for name in variable.split(",") if name.strip()}
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
        except BaseException as error:  # a third-party module may raise anything on import, also SystemExit
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
        discovered.failures.append(PluginFailure(Origin(name), "GPTKIT_PLUGINS names it, but it is not installed"))


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
    """Add all parts of a registered plugin, or none if one is invalid.

    Raises:
        ConfigError: a hook failed, or returned an invalid part.
    """
    entries_by_kind = {}
    for kind in KINDS:
        for hook in getattr(manager.hook, f"gptkit_{kind}").get_hookimpls():
            if hook.plugin_name == origin.plugin:
                entries_by_kind[kind] = _call_hook(hook.function, kind, origin)
    for kind, entries in entries_by_kind.items():
        discovered.add(kind, entries)


def _call_hook(hook: Callable[[], Any], kind: str, origin: Origin) -> list[Entry]:
    """Call a plugin's hook and check what it returns."""
    try:
        parts = hook()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # as on import: it may raise anything
        raise ConfigError(f"gptkit_{kind}() failed: {format_exception_line(error)}") from error
    if not isinstance(parts, (list, tuple)):
        raise ConfigError(f"gptkit_{kind}() must return a list of part classes, not {parts!r}")
    for part in parts:
        if reason := _invalid_part_reason(kind, part):
            raise ConfigError(reason)
    names = [part_name(kind, part) for part in parts]
    if duplicate := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"gptkit_{kind}() returned {kind}={duplicate} twice")
    return [Entry(part, origin) for part in parts]


def format_exception_line(error: BaseException) -> str:
    """Format an exception in one line."""
    try:
        message = str(error)
    except Exception:  # the __str__ of a third-party exception may fail, too
        message = ""
    return f"{type(error).__name__}: {message}".partition("\n")[0]


_HOOKS = tuple(f"gptkit_{kind}" for kind in KINDS)


def _check_hooks(plugin: Any) -> None:
    """Check that every function whose name starts with `gptkit_` is a hook. pluggy would silently ignore it."""
    for name in dir(plugin):
        function = getattr(plugin, name, None) if name.startswith("gptkit_") else None
        if not callable(function):
            continue
        if name not in _HOOKS:
            raise ConfigError(f"there is no hook {name}.{did_you_mean(name, _HOOKS)}")
        if not hasattr(function, "gptkit_impl"):
            raise ConfigError(f"{name}() lacks @gptkit.hookimpl; add it above the function")


def part_name(kind: str, part: type[Any]) -> str:
    """Return the name by which a part is chosen: the verb of a command, or the default of the field `name`."""
    return str(getattr(part, "verb" if kind == "command" else "name", "") or "")


def _invalid_part_reason(kind: str, part: Any) -> str:
    """Return why a hook's result is not a part of this kind; empty if it is one."""
    if not (isinstance(part, type) and dataclasses.is_dataclass(part) and issubclass(part, Part)):
        return f"gptkit_{kind} returned {part!r}, which is not a dataclass derived from gptkit.{kind}'s base class"
    expected = "Command" if kind == "command" else f"{kind.title().replace('_', '')}Config"
    if not any(base.__name__ == expected and base.__module__.startswith(f"gptkit.{kind}") for base in part.__mro__):
        return f"gptkit_{kind} returned {part.__name__}, which is not a gptkit.{kind}.{expected}; use the hook of its kind"
    if "__dataclass_fields__" not in vars(part):
        return f"{part.__name__} lacks @dataclass, so its own fields would not be keys; add it above the class"
    if "__slots__" in vars(part):  # slots hide the class attribute `name`; a frozen dataclass fails on import
        return f"{part.__name__} must be a plain @dataclass, without slots"
    name = part_name(kind, part)
    if not name:
        return f"{part.__name__} has no name; give its field `{'verb' if kind == 'command' else 'name'}` a default"
    if not re.fullmatch(r"[\w.-]+", name):
        return f"{part.__name__} is called {name!r}; a name may contain only letters, digits, '_', '-' and '.'"
    return ""
