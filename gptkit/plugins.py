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
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any

import pluggy

from gptkit import hookspecs
from gptkit.check_settings import check
from gptkit.errors import ConfigError, did_you_mean, unfit_type
from gptkit.hookspecs import KINDS
from gptkit.origins import Kit, Origin
from gptkit.parts import Part


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
class Failure:
    """A plugin that could not be loaded, and why, in one line."""

    origin: Origin
    reason: str

    @property
    def owned(self) -> str:
        """The plugin, and whose it is where that is not its own name."""
        return self.origin.owned


@dataclass(frozen=True)
class Registry:
    """Every part by kind and name, the plugins that failed, and the packages that carry configuration."""

    parts: MappingProxyType[str, dict[str, Entry]]
    failures: tuple[Failure, ...]
    conf_packages: tuple[tuple[Origin, str], ...] = field(default=())
    """Every plugin, and the importable package that may hold YAML in its folder `conf`."""

    def find(self, kind: str, name: str) -> Entry:
        """The part of this kind and name.

        Raises:
            ConfigError: there is none; names the nearest, and plugins that failed to load.
        """
        if kind not in self.parts:
            raise ConfigError(f"there is no kind of part called {kind}.{did_you_mean(kind, self.parts)}")
        entry = self.parts[kind].get(name)
        if entry is None:
            raise ConfigError(f"there is no {kind}={name}.{did_you_mean(name, self.parts[kind])}{self.failed()}")
        return entry

    def failed(self) -> str:
        """A sentence for each plugin that failed to load, for the error of a choice that cannot be found; empty where none did."""
        return "".join(f" The plugin {failure.owned} failed to load: {failure.reason}." for failure in self.failures)

    def resolve(self, kind: str, settings: Any, *, path: str = "") -> Any:
        """A part from a plain mapping with `name`, as lists and dicts of parts and saved configurations hold it.

        Args:
            kind: of the part.
            settings: its keys.
            path: the key that holds them, for errors; empty: the kind's own.

        Raises:
            ConfigError: no such part, an unknown key, or a value that does not fit.
        """
        from omegaconf import OmegaConf
        from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException, ValidationError

        if isinstance(settings, Part):
            return settings
        name = settings.get("name", "") if hasattr(settings, "get") else ""
        part = self.find(kind, name).part
        try:
            filled = OmegaConf.merge(OmegaConf.structured(part), settings)
            check(filled, path or kind)
            return OmegaConf.to_object(filled)
        except ConfigKeyError as error:
            raise ConfigError(_no_key(name, f"{path or kind}.{error.full_key}", error.parent_node or ())) from error
        except MissingMandatoryValue as error:
            raise ConfigError(f"{path or kind}.{str(error).partition(chr(10))[0].rpartition(': ')[2]} must be given") from error
        except ValidationError as error:
            key, text = f"{path or kind}.{error.full_key}", str(error).partition("\n")[0]
            raise ConfigError(unfit_type(key, text) or f"{key}: {text}") from error
        except (OmegaConfBaseException, ValueError) as error:
            raise ConfigError(f"{path or f'{kind}={name}'}: {str(error).partition(chr(10))[0]}") from error


def _no_key(name: str, key: str, known: Any) -> str:
    """That a part has no such key, and the nearest of those beside it."""
    owner, _, word = key.rpartition(".")
    near = did_you_mean(word, map(str, known)).replace("mean ", f"mean {owner}.")
    return f"there is no key {key}.{near or f' gptkit plugins name={name} lists the keys'}"


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
    owners: dict[str, Origin] = {}
    for kind in KINDS:
        owners[f"gptkit.{kind}"] = Kit(f"gptkit.{kind}")
        manager.register(importlib.import_module(f"gptkit.{kind}"), name=f"gptkit.{kind}")
    failures, conf_packages = _load_installed(manager, owners)
    parts: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
    for kind in KINDS:
        for hook in getattr(manager.hook, f"gptkit_{kind}").get_hookimpls():
            origin = owners[hook.plugin_name]
            for part in _offered(hook.function, kind, origin):
                _add(parts[kind], kind, Entry(part, origin))
    return Registry(MappingProxyType(parts), tuple(failures), tuple(conf_packages))


def _offered(hook: Callable[[], Any], kind: str, origin: Origin) -> list[Any]:
    """What a plugin's hook of this kind returns."""
    try:
        offered = hook()
    except Exception as error:  # the stranger's, as on import
        raise ConfigError(f"plugin {origin.owned}: gptkit_{kind}() failed: {_reason(error)}") from error
    if not isinstance(offered, (list, tuple)):
        raise ConfigError(f"plugin {origin.owned}: gptkit_{kind}() must return a list of part classes, not {offered!r}")
    return list(offered)


def _reason(error: BaseException) -> str:
    """An exception on one line."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _load_installed(manager: pluggy.PluginManager, owners: dict[str, Origin]) -> tuple[list[Failure], list[tuple[Origin, str]]]:
    """Register every installed plugin; those that fail to import are returned instead."""
    wanted = os.environ.get("GPTKIT_PLUGINS")
    chosen = None if wanted is None else {name.strip() for name in wanted.split(",") if name.strip()}
    failures: list[Failure] = []
    conf_packages: list[tuple[Origin, str]] = []
    for point in sorted(importlib.metadata.entry_points(group="gptkit"), key=lambda point: point.name):
        if chosen is not None and point.name not in chosen:
            continue
        origin = Origin(point.name, point.dist)
        if point.name in owners:
            raise ConfigError(
                f"two installed plugins are called {point.name}: {owners[point.name].distribution} and {origin.distribution}; "
                "uninstall one of them"
            )
        owners[point.name] = origin
        try:
            plugin = point.load()
        except (Exception, SystemExit) as error:  # whatever a stranger's module raises on import is the stranger's
            failures.append(Failure(origin, _reason(error)))
            continue
        try:
            manager.register(plugin, name=point.name)
        except pluggy.PluginValidationError as error:
            raise ConfigError(
                f"plugin {origin.owned}: a hook takes no arguments, as in def gptkit_attention(): ... ({_reason(error)})"
            ) from error
        _check_hooks(plugin, origin)
        package = plugin.__name__ if isinstance(plugin, ModuleType) else point.value.partition(":")[0]
        conf_packages.append((origin, package))
    for name in sorted((chosen or set()) - owners.keys()):
        failures.append(Failure(Origin(name), "GPTKIT_PLUGINS names it, and it is not installed"))
    return failures, conf_packages


_HOOKS = tuple(f"gptkit_{kind}" for kind in KINDS)


def _check_hooks(plugin: Any, origin: Origin) -> None:
    """See that every function that is called like a hook is one: the others would be passed over in silence."""
    for name in dir(plugin):
        function = getattr(plugin, name, None) if name.startswith("gptkit_") else None
        if not callable(function):
            continue
        if name not in _HOOKS:
            raise ConfigError(f"plugin {origin.owned}: there is no hook {name}.{did_you_mean(name, _HOOKS)}")
        if not hasattr(function, "gptkit_impl"):
            raise ConfigError(f"plugin {origin.owned}: {name}() lacks @gptkit.hookimpl; write it above the function")


def part_name(kind: str, part: type[Any]) -> str:
    """The name by which a part is chosen: a verb for commands, the default of the field `name` for the rest."""
    return str(getattr(part, "verb" if kind == "command" else "name", "") or "")


def _add(known: dict[str, Entry], kind: str, entry: Entry) -> None:
    part, origin = entry.part, entry.origin
    if reason := _unfit(kind, part):
        raise ConfigError(f"plugin {origin.owned}: {reason}")
    name = part_name(kind, part)
    if name in known:
        raise ConfigError(
            f"two plugins claim {kind}={name}: {known[name].origin.owned} and {origin.owned}; "
            "uninstall one, or name the ones to load in GPTKIT_PLUGINS"
        )
    known[name] = entry


def _unfit(kind: str, part: Any) -> str:
    """Why what a hook returned cannot be a part of this kind; empty where it can."""
    if not (isinstance(part, type) and dataclasses.is_dataclass(part) and issubclass(part, Part)):
        return f"gptkit_{kind} returned {part!r}, which is no dataclass derived from gptkit.{kind}'s base class"
    if not any(base.__name__ == kind.capitalize() and base.__module__.startswith(f"gptkit.{kind}") for base in part.__mro__):
        return f"gptkit_{kind} returned {part.__name__}, which is no gptkit.{kind}.{kind.capitalize()}; use its kind's own hook"
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
