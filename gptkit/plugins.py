"""The registry of built-in parts and those of installed plugins (see `gptkit.plugin_discovery`), by kind and name.

`GPTKIT_PLUGINS` (names separated by commas; empty: none) restricts which plugins are loaded.
"""

from __future__ import annotations

import functools
import importlib.metadata
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from gptkit.constraint_checks import check_constraints
from gptkit.errors import ConfigError, did_you_mean, wrong_type_message
from gptkit.parts import Part
from gptkit.plugin_discovery import Entry, PluginFailure, discover_plugins, install_hint, part_name
from gptkit.plugin_origin import Origin

__all__ = ["Entry", "PluginFailure", "Registry", "part_name", "plugin_packages", "registry"]


@dataclass(frozen=True)
class Registry:
    """All parts by kind and name, the plugins that failed to load, and the packages that contain configurations."""

    parts: MappingProxyType[str, dict[str, Entry]]
    failures: tuple[PluginFailure, ...]
    conf_packages: tuple[tuple[Origin, str], ...] = field(default=())
    """Each plugin with its package, which may contain YAML files in a folder `conf`."""
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    """(kind, name) that cannot be chosen -> the reason, such as two plugins that claim the name."""

    def find(self, kind: str, name: str) -> Entry:
        """Return the part of this kind and name.

        Raises:
            ConfigError: the part does not exist. The message names the nearest one, and the plugins that failed to load.
        """
        if kind not in self.parts:
            raise ConfigError(f"there is no kind of part called {kind}.{did_you_mean(kind, self.parts)}")
        self.check_choice(kind, name)
        entry = self.parts[kind].get(name)
        if entry is None:
            hint = install_hint(kind, name) or f".{did_you_mean(name, self.parts[kind])}"
            raise ConfigError(f"there is no {kind}={name}{hint}{self.failed()}")
        return entry

    def check_choice(self, kind: str, name: str) -> None:
        """Check that a name can be chosen.

        Raises:
            ConfigError: the name cannot be chosen. The message names the plugins that claim it, or the fault of the part.
        """
        if reason := self.refused.get((kind, name)):
            raise ConfigError(reason)

    def failed(self) -> str:
        """Return a sentence for each plugin that failed to load, to be appended to the error for an unknown name."""
        return "".join(f" The plugin {failure.display_name} failed to load: {failure.reason}." for failure in self.failures)

    def resolve(self, kind: str, settings: Any, *, path: str = "", example: str = "") -> Any:
        """Return a part from its settings as a plain mapping with the key `name`, as in config files and mappings of parts.

        A part that contains other parts resolves them in its `build()`; the object that it builds never uses the registry.

        Args:
            kind: the kind of the part.
            settings: the keys of the part. A part is returned unchanged.
            path: the key that holds the settings, for error messages; empty: the key of the kind.
            example: a valid value, for the error message if `settings` is not a mapping.

        Raises:
            ConfigError: not a mapping, an unknown part or key, or an invalid value.
        """
        from omegaconf import OmegaConf
        from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException, ValidationError

        if isinstance(settings, Part):
            return settings
        if not hasattr(settings, "get"):
            raise ConfigError(f"{path or kind}={settings} must be the settings of a part, such as {example or '{name: ...}'}")
        name = settings.get("name", "")
        try:
            part = self.find(kind, name).part
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}" if path else str(error)) from error
        try:
            filled = OmegaConf.merge(OmegaConf.structured(part), settings)
            check_constraints(filled, path or kind)
            return OmegaConf.to_object(filled)
        except ConfigKeyError as error:
            raise ConfigError(_unknown_key_message(name, f"{path or kind}.{error.full_key}", error.parent_node or ())) from error
        except MissingMandatoryValue as error:
            raise ConfigError(f"{path or kind}.{str(error).partition(chr(10))[0].rpartition(': ')[2]} is required") from error
        except ValidationError as error:
            key, text = f"{path or kind}.{error.full_key}", str(error).partition("\n")[0]
            raise ConfigError(wrong_type_message(key, text) or f"{key}: {text}") from error
        except (OmegaConfBaseException, ValueError) as error:
            raise ConfigError(f"{path or f'{kind}={name}'}: {str(error).partition(chr(10))[0]}") from error


def _unknown_key_message(name: str, key: str, known: Any) -> str:
    """Return the error message for an unknown key of a part, with the nearest known key."""
    owner, _, word = key.rpartition(".")
    near = did_you_mean(word, map(str, known)).replace("mean ", f"mean {owner}.")
    return f"there is no key {key}.{near or f' gptkit plugins name={name} lists the keys'}"


@functools.cache
def registry() -> Registry:
    """Return the registry of this process, built at the first call."""
    discovered = discover_plugins()
    return Registry(
        MappingProxyType(discovered.parts), tuple(discovered.failures), tuple(discovered.conf_packages), discovered.refused
    )


def plugin_packages() -> dict[str, Origin]:
    """Return the installed plugin of each top-level package, including plugins that failed to load."""
    return {
        point.value.partition(":")[0].partition(".")[0]: Origin(point.name, point.dist)
        for point in importlib.metadata.entry_points(group="gptkit")
    }
