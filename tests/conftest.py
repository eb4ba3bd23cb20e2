"""Fixtures for all tests. The command line runs in this process, with a temporary cache, without network or installed plugins."""

from __future__ import annotations

import gc
import logging
import os
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.command_line import CommandResult, GptkitCommand
from tests.processes import ProcessServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.opened_page import Opened

os.environ["GPTKIT_PLUGINS"] = ""
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers with two threads each slow each other down on two cores
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("HYDRA_FULL_ERROR", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs the files that start processes first, then those with most tests, so that no long file starts last on one worker."""
    counts = Counter(item.path for item in items)
    slow = {item.path for item in items if item.get_closest_marker("process")}
    items.sort(key=lambda item: (item.path not in slow, -counts[item.path]))


def pytest_collection_finish() -> None:
    """Collects garbage less often, and not that of the modules, because it would take a tenth of the time."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture
def gptkit_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[GptkitCommand]:
    """Runs `gptkit <words>` in this process, because starting a process takes seconds.

    Some command lines (`--info`, hydra.verbose) add a log handler for standard output. It is removed afterwards, because the stream
    is closed by then.
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
    """Writes token shards to a temporary folder for the session."""
    before = os.environ.get("GPTKIT_CACHE")
    os.environ["GPTKIT_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["GPTKIT_CACHE"]
    else:
        os.environ["GPTKIT_CACHE"] = before


@pytest.fixture(scope="session")
def process_server(tmp_path_factory: pytest.TempPathFactory, _own_cache: None) -> Iterator[ProcessServer]:
    """Starts processes that have done their imports."""
    server = ProcessServer(tmp_path_factory.mktemp("processes"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. Of one module, because the event loop of Playwright runs in the thread of the tests."""
    from playwright.sync_api import sync_playwright

    from tests.opened_page import CHROMIUM

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_file(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Opens a page from a file, with settings of the browser such as `color_scheme`."""
    from tests.opened_page import DESKTOP, Opened

    contexts = []

    def open_page(path: Path, **settings: Any) -> Opened:
        context = browser.new_context(**{"viewport": DESKTOP, **settings})
        contexts.append(context)
        return Opened(context.new_page(), path)

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(autouse=True)
def _empty_charts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the charts of pages empty, because drawing them takes almost half of the time of a tiny run.

    Tests that are marked `charts` or `browser` have the charts.
    """
    if not any(request.node.get_closest_marker(name) for name in ("charts", "browser")):
        from markupsafe import Markup

        monkeypatch.setattr("gptkit.page.chart_view.chart_svg", lambda chart, name, size: Markup("<svg></svg>"))


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Changes to an empty folder, and returns it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Limits torch to one thread, because several threads make tests with tiny matrices slower."""
    torch = sys.modules.get("torch")  # tests that do not use torch must not import it
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def install_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs a distribution with a plugin module in a temporary folder on the path. No other plugins are loaded."""
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
    """Clears the caches, so that plugins are discovered again."""
    from hydra.core.config_store import ConfigStore

    from gptkit import config_groups
    from gptkit.config.config_store import register_configs
    from gptkit.hookspecs import KINDS
    from gptkit.plugins import registry

    for kind in KINDS:
        ConfigStore.instance().repo.pop(kind, None)
    for cached in (registry, config_groups.conf_folders, config_groups.conflicting_files, register_configs):
        cached.cache_clear()
