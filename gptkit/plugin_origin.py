"""Whose a part is: the plugin that offers it, and the distribution that this came with."""

from __future__ import annotations

import functools
import importlib.metadata


class Origin:
    """A plugin, and the distribution that it came with, whose metadata is read when somebody asks: most command lines do not."""

    def __init__(self, plugin: str, installed: importlib.metadata.Distribution | None = None) -> None:
        self.plugin = plugin
        self._installed = installed

    @property
    def distribution(self) -> str:
        """The name to install it by."""
        return self._identity[0]

    @property
    def version(self) -> str:
        """The version that is installed; 0 where nobody knows."""
        return self._identity[1]

    @property
    def installed(self) -> bool:
        """Whether a distribution that is installed here brings it."""
        return self._installed is not None

    @property
    def display_name(self) -> str:
        """The plugin, and whose it is where that is not its own name."""
        return self.plugin if self.plugin == self.distribution else f"{self.plugin} of {self.distribution}"

    @functools.cached_property
    def _identity(self) -> tuple[str, str]:
        # the first lines alone: parsing all of it takes a millisecond
        installed = self._installed
        text = (installed.read_text("METADATA") or installed.read_text("PKG-INFO") or "") if installed else ""
        headers = dict(line.split(": ", 1) for line in text.partition("\n\n")[0].splitlines() if ": " in line)
        return headers.get("Name", self.plugin), headers.get("Version", "0")


class BuiltinOrigin(Origin):
    """One of the kit's own plugins: each kind is one."""

    @functools.cached_property
    def _identity(self) -> tuple[str, str]:
        try:
            return "gptkit", importlib.metadata.version("gptkit")
        except importlib.metadata.PackageNotFoundError:
            return "gptkit", "0"


BUILTIN_ORIGIN: Origin = BuiltinOrigin("gptkit")
"""The kit itself."""
