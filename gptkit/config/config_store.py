"""Register with Hydra every part as an option of its group, the schema of every verb, and the `conf` folders of plugins."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gptkit.config_groups import conf_folders
from gptkit.errors import ConfigError
from gptkit.plugins import Entry, registry


class _PluginConfigurations(SearchPathPlugin):
    """Adds the `conf` folders of plugins to Hydra's search path, after that of gptkit."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for origin, folder in conf_folders()[1:]:
            search_path.append(provider=origin.distribution, path=f"file://{folder}")


def _share_store(store: ConfigStore, memo: dict[int, Any]) -> ConfigStore:
    """Return the store itself where Hydra copies its sources.

    Hydra copies them for every composition, and hundreds of times for one completion. Copies of the store, which holds all parts,
    would take most of that time. Nothing changes the store after registration, and `load` returns copies of its nodes.
    """
    return store


@functools.cache
def register_configs() -> None:
    """Register every part as an option of its group and every verb's settings as a schema, once per process."""
    ConfigStore.__deepcopy__ = _share_store  # type: ignore[attr-defined]
    store = ConfigStore.instance()
    for kind, parts in registry().parts.items():
        for name, entry in parts.items():
            package = {"command": "_global_", "logger": f"logger.{name}"}.get(kind)
            try:
                node = _structured_config(entry)
            except ConfigError as error:  # reported when the part is chosen
                registry().refused[kind, name] = str(error)
                continue
            store.store(group=kind, name=name, node=node, package=package, provider=entry.distribution)
    Plugins.instance().register(_PluginConfigurations)
    # Hydra finds this plugin itself in a wheel, but not in an editable install, which uses import hooks
    Plugins.instance().register(importlib.import_module("hydra_plugins.gptkit_process_launcher").ProcessLauncher)


def _structured_config(entry: Entry) -> DictConfig:
    """Return a part's structured config. Mappings without a class, such as `trainer`, accept any key.

    Raises:
        ConfigError: OmegaConf does not support the type of a field. The message names the plugin.
    """
    try:
        node: DictConfig = OmegaConf.structured(entry.part)
    except (OmegaConfBaseException, NameError) as error:  # NameError: a type that is imported only under TYPE_CHECKING
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"plugin {entry.origin.display_name}: the fields of {entry.part.__name__} must have simple types: {reason}"
        ) from error
    for key in node:
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_missing() and not dataclasses.is_dataclass(OmegaConf.get_type(child)):
            OmegaConf.set_struct(child, False)
    return node
