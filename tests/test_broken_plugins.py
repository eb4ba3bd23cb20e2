"""Plugins that clash, are broken or misspell a hook are reported in one line with their name. All others work."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import gptkit
from gptkit.errors import ConfigError
from gptkit.plugins import registry
from tests.command_line import GptkitCommand, compose_settings
from tests.plugin_sources import ATTENTION, VERB, WAVE


@pytest.mark.parametrize(
    ("file", "chosen", "other"),
    [
        ("trainer/cpu", ["plan", "trainer=cpu"], ["plan", "trainer=gpu", "--cfg", "job"]),
        ("gpt2/124m", ["plan", "+gpt2=124m"], ["plan", "+gpt2=355m", "--cfg", "job"]),
        ("base/gpt2", ["plan", "+gpt2=124m"], ["plan", "+gpt3=125m", "--cfg", "job"]),
        ("eval", ["eval", "task=win_rate"], ["plan", "--cfg", "job"]),
        ("attention/banded", ["plan", "attention=banded"], ["plan", "--cfg", "job"]),
        ("optimizer/gpt2_adam", ["plan", "-m", "optimizer=adamw,gpt2_adam"], ["plan", "--cfg", "job"]),
    ],
)
def test_choosing_a_configuration_that_two_distributions_provide_is_an_error(
    install_plugin: Callable[..., None],
    gptkit_command: GptkitCommand,
    in_folder: Path,
    file: str,
    chosen: list[str],
    other: list[str],
) -> None:
    install_plugin("foo", ATTENTION.format(name="foo"), conf={f"{file}.yaml": "# @package _global_\nseed: 1\n"})
    message = f"gptkit-foo provides conf/{file}.yaml, which gptkit already provides"
    outcome = gptkit_command(*chosen)
    assert outcome.status == 2
    assert message in outcome.error_line
    assert gptkit_command(*other).status == 0
    assert message in " ".join(gptkit_command("--help").out.split())
    assert message in gptkit_command("plugins").err


def test_choosing_a_name_that_two_plugins_claim_names_both(
    install_plugin: Callable[..., None], gptkit_command: GptkitCommand, in_folder: Path
) -> None:
    install_plugin("foo", ATTENTION.format(name="banded"))
    message = "two plugins claim attention=banded: gptkit.attention of gptkit and foo of gptkit-foo; uninstall one"
    for words in (["plan", "attention=banded"], ["plan", "attention=banded", "--help"], ["plugins", "name=banded"]):
        outcome = gptkit_command(*words)
        assert outcome.status == 2
        assert message in outcome.error_line
    assert gptkit_command("plan", "attention=dense", "--cfg", "job").status == 0
    with pytest.raises(ConfigError, match="two plugins claim attention=banded"):
        gptkit.compose("plan", ["attention=banded"])
    with pytest.raises(ConfigError, match="two plugins claim attention=banded"):
        registry().resolve("attention", {"name": "banded"})


def test_two_plugins_with_the_same_verb_do_not_affect_others(
    install_plugin: Callable[..., None], gptkit_command: GptkitCommand, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_plugin("foo", VERB, conf=WAVE)
    install_plugin("bar", VERB, conf=WAVE)
    message = "two plugins claim command=wave: bar of gptkit-bar and foo of gptkit-foo"
    for words in (["wave"], ["wave", "--help"], ["wave", "x=1"]):
        outcome = gptkit_command(*words)
        assert outcome.status == 2
        assert message in outcome.error_line
    assert message in " ".join(gptkit_command("--help").out.split())
    listed = gptkit_command("plugins")
    assert listed.status == 0
    assert message in listed.err
    assert gptkit_command("plan", "--cfg", "job").status == 0
    monkeypatch.setenv("COMP_LINE", "gptkit pl")
    assert gptkit_command("-sc", "query=bash").out.split() == ["plan", "plugins"]


def test_two_distributions_with_the_same_plugin_name_are_reported(
    install_plugin: Callable[..., None], gptkit_command: GptkitCommand, tmp_path: Path
) -> None:
    install_plugin("foo", ATTENTION.format(name="mine"))
    (tmp_path / "other-1.0.dist-info").mkdir()
    (tmp_path / "other-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (tmp_path / "other-1.0.dist-info" / "entry_points.txt").write_text("[gptkit]\nfoo = foo\n")
    registry.cache_clear()
    page = " ".join(gptkit_command("--help").out.split())
    assert re.search(r"two installed plugins are called foo: (gptkit-foo and other|other and gptkit-foo); uninstall one", page)
    assert gptkit_command("plan", "attention=mine", "--cfg", "job").status == 0


def test_a_broken_plugin_is_named_and_others_work(install_plugin: Callable[..., None], gptkit_command: GptkitCommand) -> None:
    install_plugin("broken", "raise RuntimeError('no libfoo here')")
    install_plugin("foo", ATTENTION.format(name="foo"))
    assert compose_settings("plan", ["attention=foo"]).attention.name == "foo"
    outcome = gptkit_command("plan", "attention=brokn")
    assert outcome.status == 2
    assert "broken of gptkit-broken failed to load: RuntimeError: no libfoo here" in outcome.error_line
    for words in (("bands",), ("train", "+brokenpaper=small")):  # its verb and its paper
        assert "broken of gptkit-broken failed to load: RuntimeError: no libfoo here" in gptkit_command(*words).error_line
    assert "no libfoo here" in gptkit_command("--help").out


def test_a_misspelt_hook_names_the_nearest_one(install_plugin: Callable[..., None]) -> None:
    install_plugin("foo", ATTENTION.format(name="foo").replace("gptkit_attention", "gptkit_atention"))
    (failure,) = registry().failures
    assert failure.display_name == "foo of gptkit-foo"
    assert "there is no hook gptkit_atention. Did you mean gptkit_attention?" in failure.reason


def test_a_plugin_that_exits_on_import_has_failed_to_load(install_plugin: Callable[..., None]) -> None:
    install_plugin("foo", "import sys\n\nsys.exit(3)\n")
    assert [(failure.display_name, failure.reason) for failure in registry().failures] == [("foo of gptkit-foo", "SystemExit: 3")]


def test_a_name_in_gptkit_plugins_that_is_not_installed_is_named(
    install_plugin: Callable[..., None], gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_plugin("foo", ATTENTION.format(name="foo"))
    monkeypatch.setenv("GPTKIT_PLUGINS", "foo,fooo")
    outcome = gptkit_command("plan", "attention=bar")
    assert "The plugin fooo failed to load: GPTKIT_PLUGINS names it, but it is not installed." in outcome.error_line


def test_a_verb_without_a_configuration_is_named(install_plugin: Callable[..., None], gptkit_command: GptkitCommand) -> None:
    install_plugin(
        "foo",
        """
        from dataclasses import dataclass
        from typing import ClassVar
        from gptkit import hookimpl
        from gptkit.command import Command

        @dataclass
        class Wave(Command):
            "Print a greeting."
            verb: ClassVar[str] = "wave"

        @hookimpl
        def gptkit_command():
            return [Wave]
        """,
    )
    assert "the verb wave of gptkit-foo lacks its configuration, conf/wave.yaml" in gptkit_command("wave").error_line


def test_a_part_without_a_name_is_named(install_plugin: Callable[..., None]) -> None:
    install_plugin("foo", ATTENTION.format(name=""))
    assert "Mine has no name; give its field `name` a default" in registry().failures[0].reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("@dataclass\n", "\n"), "Mine lacks @dataclass"),
        (("@dataclass\n", "@dataclass(slots=True)\n"), "Mine must be a plain @dataclass, without slots"),
        (("[Mine]", "Mine"), "gptkit_attention() must return a list of part classes, not <class"),
        (("return [Mine]", "raise RuntimeError('boo')"), "gptkit_attention() failed: RuntimeError: boo"),
        (("gptkit_attention()", "gptkit_attention(config)"), "a hook takes no arguments, as in def gptkit_attention():"),
        (('"mine"', '"a b=c"'), "Mine is called 'a b=c'; a name may contain only letters"),
        (("[Mine]", "['mine']"), "gptkit_attention returned 'mine', which is not a dataclass"),
        (("gptkit_attention()", "gptkit_reward()"), "gptkit_reward returned Mine, which is not a gptkit.reward.RewardConfig"),
        (("reach: int", "reach: complex"), "the fields of Mine must have simple types"),
        (("reach: int", "reach: 'Path'"), "the fields of Mine must have simple types"),
        (("gptkit_attention()", "gptkit_attentions()"), "there is no hook gptkit_attentions. Did you mean gptkit_attention?"),
        (("@hookimpl\n    def gptkit_a", "def gptkit_a"), "gptkit_attention() lacks @gptkit.hookimpl"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_mistake_in_a_plugin_is_one_line_that_names_the_plugin(
    install_plugin: Callable[..., None],
    gptkit_command: GptkitCommand,
    in_folder: Path,
    change: tuple[str, str],
    message: str,
) -> None:
    install_plugin("foo", ATTENTION.format(name="mine").replace(*change))
    outcome = gptkit_command("plan", "attention=mine")
    assert (outcome.status, outcome.out) == (2, "")
    assert "plugin foo of gptkit-foo" in outcome.error_line
    assert message in outcome.error_line
    assert gptkit_command("plan", "--cfg", "job").status == 0
