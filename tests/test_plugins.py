"""Third-party plugins: their parts and papers are used like the built-in ones, and mistakes are reported in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import gptkit
from gptkit.errors import CheckpointError, ConfigError
from gptkit.hookspecs import KINDS
from gptkit.plugins import registry
from gptkit.training.checkpoints.manifest import Manifest, check_installed
from tests.command_line import GptkitCommand, compose_settings
from tests.plugin_sources import ATTENTION


def test_every_kind_has_a_hook() -> None:
    assert set(registry().parts) == set(KINDS)
    for kind in KINDS:
        assert hasattr(gptkit.hookspecs, f"gptkit_{kind}")


def test_a_third_party_part_is_chosen_like_a_built_in_one(install_plugin: Callable[..., None]) -> None:
    install_plugin("foo", ATTENTION.format(name="foo"), version="2.5")
    entry = registry().find("attention", "foo")
    assert (entry.distribution, entry.version) == ("gptkit-foo", "2.5")
    settings = compose_settings("plan", ["attention=foo", "attention.reach=9"])
    assert type(settings.attention) is entry.part
    assert settings.attention.reach == 9
    with pytest.raises(ConfigError, match="the chosen attention has no key reach; it is a key of attention=foo"):
        gptkit.compose("plan", ["attention.reach=9"])


def test_a_third_party_paper_can_be_chosen(install_plugin: Callable[..., None]) -> None:
    paper = "# @package _global_\ndefaults:\n  - override /attention: foo\n  - _self_\nmodel:\n  layers: 7\n"
    install_plugin("foo", ATTENTION.format(name="foo"), conf={"foopaper/small.yaml": paper})
    settings = compose_settings("plan", ["+foopaper=small"])
    assert (settings.attention.name, settings.model.layers) == ("foo", 7)


def test_a_plugin_may_be_a_module_inside_the_package_with_its_papers(install_plugin: Callable[..., None]) -> None:
    paper = "# @package _global_\nmodel:\n  layers: 7\n"
    install_plugin("foo", ATTENTION.format(name="foo"), conf={"foopaper/small.yaml": paper}, module_inside="hooks")
    assert compose_settings("plan", ["+foopaper=small", "attention=foo"]).model.layers == 7


def test_a_checkpoint_part_from_another_distribution_is_a_warning(
    install_plugin: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    install_plugin("foo", ATTENTION.format(name="foo"))
    manifest = Manifest(1, None, None, {}, {"attention": ("foo", "gptkit-bar==2.0")}, "", 1)
    check_installed(Path("runs/x"), manifest, ["attention"])
    assert "attention=foo of gptkit-bar==2.0, and here gptkit-foo provides that name" in caplog.text


def test_an_error_about_a_checkpoint_names_the_reason_why_its_plugin_failed_to_load(install_plugin: Callable[..., None]) -> None:
    install_plugin("broken", "raise RuntimeError('no libfoo here')")
    manifest = Manifest(1, None, None, {}, {"attention": ("foo", "gptkit-broken==1.0")}, "", 1)
    with pytest.raises(CheckpointError, match=r"which is installed here and failed to load: RuntimeError: no libfoo here"):
        check_installed(Path("runs/x"), manifest, ["attention"])


def test_an_error_in_a_third_party_paper_names_the_file(
    install_plugin: Callable[..., None], gptkit_command: GptkitCommand, in_folder: Path
) -> None:
    start = "# @package _global_\ndefaults:\n  - override /{group}: foo\n  - _self_\n"
    papers = {
        "wrong/group.yaml": start.format(group="atention"),
        "wrong/key.yaml": start.format(group="attention") + "model:\n  layerz: 7\n",
        "wrong/value.yaml": start.format(group="attention") + "model:\n  layers: many\n",
        "wrong/package.yaml": "model: {layers: 3}\n",
        "wrong/text.yaml": "model: {layers: 7\n",
    }
    install_plugin("foo", ATTENTION.format(name="foo"), conf=papers)
    for paper, message in {
        "group": "conf/wrong/group.yaml: there is no group atention. Did you mean attention?",
        "key": "conf/wrong/key.yaml: there is no key model.layerz. Did you mean model.layers?",
        "value": "conf/wrong/value.yaml: model.layers=many must be a whole number",
        "package": "conf/wrong/package.yaml: its first line must be # @package _global_",
        "text": "text.yaml: line 2 is not valid YAML: expected ',' or '}'",
    }.items():
        outcome = gptkit_command("plan", f"+wrong={paper}")
        assert (outcome.status, outcome.out) == (2, "")
        assert message in outcome.error_line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["attention=mien"], "there is no attention=mien. Did you mean attention=mine?"),
        (["attention=mine", "attention.reech=3"], "there is no key attention.reech. Did you mean attention.reach?"),
        (["attention=mine", "+attention.reech=3"], "there is no key attention.reech. Did you mean attention.reach?"),
        (["attention=mine", "++attention.reech=3"], "there is no key attention.reech. Did you mean attention.reach?"),
        (["attention=mine", "attention.reach=far"], "attention.reach=far must be a whole number"),
        (["attention=mine", "attention.window=3"], "the chosen attention has no key window; it is a key of attention=banded"),
        (["attention=mine", "++attention.window=3"], "the chosen attention has no key window; it is a key of attention=banded"),
        (["attention.reach=3"], "the chosen attention has no key reach; it is a key of attention=mine"),
        (["attention.name=mine"], "choose the part with attention=mine"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_invalid_override_of_a_third_party_part_is_one_line(
    install_plugin: Callable[..., None], gptkit_command: GptkitCommand, in_folder: Path, words: list[str], message: str
) -> None:
    install_plugin("foo", ATTENTION.format(name="mine"))
    outcome = gptkit_command("plan", *words)
    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.error_line


def test_an_exception_inside_a_verb_names_the_plugin(
    install_plugin: Callable[..., None], gptkit_command: GptkitCommand, in_folder: Path
) -> None:
    verb = """
        from dataclasses import dataclass
        from typing import ClassVar
        from gptkit import hookimpl
        from gptkit.command import Command

        @dataclass
        class Boom(Command):
            "Fails."
            verb: ClassVar[str] = "boom"

            def execute(self, folder):
                raise ValueError("a bug")

        @hookimpl
        def gptkit_command():
            return [Boom]
    """
    install_plugin("boom", verb, conf={"boom.yaml": "defaults:\n  - command/boom\n  - base/reads_only\n  - _self_\n"})
    outcome = gptkit_command("boom")
    assert outcome.status == 1
    assert "unexpected ValueError in the plugin boom of gptkit-boom: a bug" in outcome.error_line


def test_the_environment_restricts_which_plugins_load(install_plugin: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    install_plugin("foo", ATTENTION.format(name="foo"))
    install_plugin("bar", ATTENTION.format(name="bar"))
    monkeypatch.setenv("GPTKIT_PLUGINS", "bar")
    registry.cache_clear()
    assert "bar" in registry().parts["attention"]
    assert "foo" not in registry().parts["attention"]


def test_resolve_reports_unknown_keys_and_invalid_values() -> None:
    assert registry().resolve("attention", {"name": "banded", "window": 3}).window == 3
    with pytest.raises(ConfigError, match=r"there is no key attention\.windoww\. Did you mean attention\.window\?"):
        registry().resolve("attention", {"name": "banded", "windoww": 3})
    with pytest.raises(ConfigError, match=r"attention.window=0 must be at least 1"):
        registry().resolve("attention", {"name": "banded", "window": 0})
