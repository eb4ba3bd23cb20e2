"""The origin of a part: its plugin, and the distribution that contains the plugin."""

from __future__ import annotations

import functools
import importlib.metadata


class Origin:
    """A plugin and its distribution. Reads the metadata on demand, because most command lines do not need it."""

    def __init__(self, plugin: str, installed: importlib.metadata.Distribution | None = None) -> None:
        self.plugin = plugin
        self._installed = installed

    @property
    def distribution(self) -> str:
        """The name of the distribution."""
        return self._identity[0]

    @property
    def version(self) -> str:
        """The installed version; 0 if unknown."""
        return self._identity[1]

    @property
    def installed(self) -> bool:
        """Whether an installed distribution contains the plugin."""
        return self._installed is not None

    @property
    def display_name(self) -> str:
        """The name of the plugin, and of its distribution if that differs."""
        return self.plugin if self.plugin == self.distribution else f"{self.plugin} of {self.distribution}"

    @functools.cached_property
    def _identity(self) -> tuple[str, str]:
        # parses only the headers: parsing everything takes a millisecond per plugin
        installed = self._installed
        text = (installed.read_text("METADATA") or installed.read_text("PKG-INFO") or "") if installed else ""
        headers = dict(line.split(": ", 1) for line in text.partition("\n\n")[0].splitlines() if ": " in line)
        return headers.get("Name", self.plugin), headers.get("Version", "0")


class BuiltinOrigin(Origin):
    """A built-in plugin. Each kind of part is one."""

    @functools.cached_property
    def _identity(self) -> tuple[str, str]:
        try:
            return "gptkit", importlib.metadata.version("gptkit")
        except importlib.metadata.PackageNotFoundError:
            return "gptkit", "0"


BUILTIN_ORIGIN: Origin = BuiltinOrigin("gptkit")
"""The origin of everything that gptkit itself provides."""
