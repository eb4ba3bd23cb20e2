"""A folder into which one test installs packages as pip would, without starting a process."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gptkit import config_groups as groups_module
from gptkit.config.config_store import register_configs
from gptkit.plugins import registry


class Site:
    """A folder on the import path."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._root = folder.parent
        self._known = set(sys.modules)
        self.installed: list[str] = []
        self._monkeypatch = monkeypatch

    def install(self, distribution: str, files: dict[str, str], *, entry_point: str, version: str = "0.1.0") -> None:
        """Write the files and the metadata of the distribution. `entry_point` is the module that contains the hooks."""
        for file, text in files.items():
            (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / file).write_text(text)
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[gptkit]\n{distribution} = {entry_point}\n")
        self.installed.append(distribution)
        self._monkeypatch.setenv("GPTKIT_PLUGINS", ",".join(self.installed))
        self.forget()

    def move(self, folder: Path, *, without: Path) -> None:
        """Replace this folder on the path by a new one, into which later calls install."""
        self._monkeypatch.setattr(
            sys, "path", [str(folder)] + [p for p in sys.path if p not in (str(without), str(self.folder), "")]
        )
        self.folder = folder
        self.forget()

    @contextlib.contextmanager
    def without_plugins(self) -> Iterator[None]:
        """Hide all plugins inside the block."""
        with pytest.MonkeyPatch.context() as inside:
            inside.setenv("GPTKIT_PLUGINS", "")
            self.forget()
            yield
        self.forget()

    def forget(self) -> None:
        """Forget imported modules and discovered plugins, because the files have changed."""
        importlib.invalidate_caches()
        for name in set(sys.modules) - self._known:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(self._root)):
                del sys.modules[name]
        registry.cache_clear()
        groups_module.conf_folders.cache_clear()
        register_configs.cache_clear()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A folder whose plugins are discovered, while those installed on this machine are not."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    installed = Site(folder, monkeypatch)
    yield installed
    monkeypatch.undo()
    installed.forget()
