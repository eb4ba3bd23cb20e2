"""The documentation matches the code: links are valid, commands compose, and every hook and verb has its section."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override

from gptkit.config.command_line import parse_command_line
from gptkit.config.compose import compose
from gptkit.plugins import registry

ROOT = Path(__file__).resolve().parents[2]
PLUGIN_VERBS = ("bands", "halves", "serve", "replay")
"""Commands of plugins, which are not installed here, or that a page defines."""

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> list[tuple[str, str]]:
    """Every `gptkit ...` command in a code block, with its page: (page, command)."""
    result = []
    for page in PAGES:
        # tests/docs/test_writing_a_plugin.py runs the first; the tests of gptkit-peft compose the second, which needs that package
        if page.name in ("writing-a-plugin.md", "adapters.md"):
            continue
        for block in re.findall(r"^(?:```(?:sh|console|bash)\n)(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            joined = block.replace("\\\n", " ")
            for line in joined.splitlines():
                text = line.strip().removeprefix("$ ")
                if text.startswith("gptkit ") and not re.search(r"[|<>]\s*\S+\s*$", re.sub(r"'[^']*'|\"[^\"]*\"", "", text)):
                    result.append((page.name, text.partition("  #")[0].strip()))
    return result


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "CHANGELOG.md"] + sorted(ROOT.glob("plugins/*/README.md")),
    ids=lambda page: page.parent.name + "/" + page.name,
)
def test_every_source_file_named_on_a_page_exists(page: Path) -> None:
    """Paths start with `gptkit/`, except on the path pages, where they are relative to that folder."""
    text = page.read_text()
    paths = re.findall(r"(?<![\w/.-])gptkit/[\w/]+\.py\b", text)
    if page.name.startswith("path"):
        paths += [f"gptkit/{path}" for path in re.findall(r"`(\w+(?:/\w+)*(?:\.py|/))`", text) if path != "gptkit/"]
        assert paths
    missing = sorted({path for path in paths if not (ROOT / path).exists()})
    assert not missing, f"{page.name} names files that do not exist: {', '.join(missing)}"


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("path*.md")), ids=lambda page: page.name)
def test_every_function_named_on_a_path_page_is_in_its_file(page: Path) -> None:
    """The pages write `file.py`, `name`, or `file.py`, `Class`, `method`."""
    named = re.findall(r"`(\w+(?:/\w+)*\.py)`((?:,\s+`\w+`)+)", page.read_text())
    assert named
    for path, names in named:
        source = (ROOT / "gptkit" / path).read_text()
        for name in re.findall(r"\w+", names):
            assert re.search(rf"\b(def|class) {name}\b", source), f"{page.name}: gptkit/{path} defines no {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_speaks_of_a_verb_that_there_is_not(page: Path) -> None:
    verbs = {*registry().parts["command"], *PLUGIN_VERBS}
    for verb in re.findall(r"`gptkit ([a-z]+)[ `]", page.read_text()):
        assert verb in verbs, f"{page.name} speaks of gptkit {verb}"


@pytest.mark.parametrize(("page", "command"), commands())
def test_every_command_of_the_documentation_composes(page: str, command: str) -> None:
    words = shlex.split(command)[1:]
    if "--help" in words or words[:1] == ["-sc"] or words == ["--version"] or words[0] in PLUGIN_VERBS:
        return
    taken = parse_command_line([word for word in words if not word.startswith("init_from=")])  # weights that are not available here
    if taken.multirun:
        own = [word for word in taken.overrides if not word.startswith("hydra")]  # launchers and sweepers may not be installed
        compose(taken.verb, [first_value(word) for word in OverridesParser.create().parse_overrides(own)])
    else:
        compose(taken.verb, taken.overrides)


def first_value(word: Override) -> str:
    """Return the override with one of the values that it sweeps over."""
    if not word.is_sweep_override():
        return str(word.input_line)
    swept = word.value()
    return f"{word.get_key_element()}={swept.start if isinstance(swept, IntervalSweep) else next(word.sweep_string_iterator())}"


def test_every_verb_is_in_the_index() -> None:
    text = (ROOT / "docs/index.md").read_text()
    for verb in registry().parts["command"]:
        assert f"gptkit {verb}" in text
