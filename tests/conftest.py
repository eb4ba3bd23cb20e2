"""What all tests share: the command line run in this process, a cache of their own, no network, no plugins of the machine."""

from __future__ import annotations

import logging
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command_line import CommandResult, GptkitCommand

os.environ["GPTKIT_PLUGINS"] = ""
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers with two threads each wait for one another on two cores
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("HYDRA_FULL_ERROR", None)


@pytest.fixture
def gptkit_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[GptkitCommand]:
    """`gptkit <words>` in this process; a process of its own costs seconds.

    Some words (`--info`, hydra.verbose) give a process a log on its standard output, which the next test would write to after it
    is closed: what logs was before is put back.
    """
    from gptkit.config.main import run_command_line

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def run(*words: str) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["gptkit", *words])
        capsys.readouterr()
        status = run_command_line(list(words))
        captured = capsys.readouterr()
        return CommandResult(status, captured.out, captured.err)

    yield run
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Token shards of tests go to a folder of the session."""
    before = os.environ.get("GPTKIT_CACHE")
    os.environ["GPTKIT_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["GPTKIT_CACHE"]
    else:
        os.environ["GPTKIT_CACHE"] = before


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny matrices on several threads spend their time waiting for one another, above all on a busy machine."""
    torch = sys.modules.get("torch")  # what does not use it is not to wait for it
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def install_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Put a distribution with a plugin module on the path, as pip would; no plugin of the machine is loaded beside it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names: list[str] = []

    def install(
        module: str, source: str, *, version: str = "1.0", conf: dict[str, str] | None = None, module_inside: str = "__init__"
    ) -> None:
        package = tmp_path / module
        package.mkdir()
        (package / "__init__.py").touch()
        (package / f"{module_inside}.py").write_text(textwrap.dedent(source))
        for file, text in (conf or {}).items():
            (package / "conf" / file).parent.mkdir(parents=True, exist_ok=True)
            (package / "conf" / file).write_text(text)
        point = module if module_inside == "__init__" else f"{module}.{module_inside}"
        info = tmp_path / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: gptkit-{module}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[gptkit]\n{module} = {point}\n")
        names.append(module)
        monkeypatch.setenv("GPTKIT_PLUGINS", ",".join(names))
        forget_plugins()

    yield install
    for name in [loaded for loaded in sys.modules if loaded.partition(".")[0] in names]:
        sys.modules.pop(name, None)
    monkeypatch.undo()
    forget_plugins()


def forget_plugins() -> None:
    """Look for plugins again."""
    from hydra.core.config_store import ConfigStore

    from gptkit import config_groups
    from gptkit.config.config_store import register_configs
    from gptkit.hookspecs import KINDS
    from gptkit.plugins import registry

    for kind in KINDS:
        ConfigStore.instance().repo.pop(kind, None)
    for found in (registry, config_groups.conf_folders, config_groups.conflicting_files, register_configs):
        found.cache_clear()
