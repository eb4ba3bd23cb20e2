"""How parts are found: strangers' distributions beside the kit's own, and what is said when one of them is broken."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import gptkit
from gptkit.errors import CheckpointError, ConfigError
from gptkit.hookspecs import KINDS
from gptkit.plugins import registry
from gptkit.training.checkpoints.manifest import Manifest, check_installed

ATTENTION = """
    from dataclasses import dataclass
    from gptkit import hookimpl
    from gptkit.attention import AttentionConfig, DenseAttentionConfig

    @dataclass
    class Mine(AttentionConfig):
        "Attention of a stranger."
        name: str = "{name}"
        reach: int = 3

        def build(self, **sizes):
            return DenseAttentionConfig().build(**sizes)

    @hookimpl
    def gptkit_attention():
        return [Mine]
"""


@pytest.fixture
def install(install_plugin: Callable[..., None]) -> Callable[..., None]:
    """A plugin of a third party, installed as pip would."""
    return install_plugin


def test_every_kind_has_a_hook_and_a_page() -> None:
    assert set(registry().parts) == set(KINDS)
    for kind in KINDS:
        assert hasattr(gptkit.hookspecs, f"gptkit_{kind}")


def test_a_strangers_part_is_chosen_like_a_built_in_one(install: Callable[..., None]) -> None:
    install("foo", ATTENTION.format(name="foo"), version="2.5")
    entry = registry().find("attention", "foo")
    assert (entry.distribution, entry.version) == ("gptkit-foo", "2.5")
    settings = gptkit.compose("plan", ["attention=foo", "attention.reach=9"]).settings
    assert type(settings.attention) is entry.part
    assert settings.attention.reach == 9
    with pytest.raises(ConfigError, match="the chosen attention has no key reach; it is a key of attention=foo"):
        gptkit.compose("plan", ["attention.reach=9"])


def test_a_strangers_paper_joins_the_search_path(install: Callable[..., None]) -> None:
    paper = "# @package _global_\ndefaults:\n  - override /attention: foo\n  - _self_\nmodel:\n  layers: 7\n"
    install("foo", ATTENTION.format(name="foo"), conf={"foopaper/small.yaml": paper})
    settings = gptkit.compose("plan", ["+foopaper=small"]).settings
    assert (settings.attention.name, settings.model.layers) == ("foo", 7)


def test_a_plugin_may_be_a_module_inside_the_package_with_its_papers(install: Callable[..., None]) -> None:
    paper = "# @package _global_\nmodel:\n  layers: 7\n"
    install("foo", ATTENTION.format(name="foo"), conf={"foopaper/small.yaml": paper}, module_inside="hooks")
    assert gptkit.compose("plan", ["+foopaper=small", "attention=foo"]).settings.model.layers == 7


def test_a_part_of_that_name_from_elsewhere_is_told(install: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    install("foo", ATTENTION.format(name="foo"))
    made = Manifest(1, None, None, {}, {"attention": ("foo", "gptkit-bar==2.0")}, "", 1)
    check_installed(Path("runs/x"), made, ["attention"])
    assert "attention=foo of gptkit-bar==2.0, and here that name is gptkit-foo's" in caplog.text


def test_a_checkpoint_of_a_plugin_that_fails_to_load_says_why(install: Callable[..., None]) -> None:
    install("broken", "raise RuntimeError('no libfoo here')")
    made = Manifest(1, None, None, {}, {"attention": ("foo", "gptkit-broken==1.0")}, "", 1)
    with pytest.raises(CheckpointError, match=r"which is installed here and failed to load: RuntimeError: no libfoo here"):
        check_installed(Path("runs/x"), made, ["attention"])


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
def test_a_file_that_another_provides_is_an_error_where_it_is_chosen(
    install: Callable[..., None],
    gptkit_command: Callable[..., object],
    in_folder: Path,
    file: str,
    chosen: list[str],
    other: list[str],
) -> None:
    install("foo", ATTENTION.format(name="foo"), conf={f"{file}.yaml": "# @package _global_\nseed: 1\n"})
    clash = f"gptkit-foo provides conf/{file}.yaml, which gptkit already provides"
    outcome = gptkit_command(*chosen)
    assert outcome.status == 2
    assert clash in outcome.error_line
    assert gptkit_command(*other).status == 0
    assert clash in " ".join(gptkit_command("--help").out.split())
    assert clash in gptkit_command("plugins").err


def test_two_plugins_that_claim_one_name_are_both_named_where_it_is_chosen(
    install: Callable[..., None], gptkit_command: Callable[..., object], in_folder: Path
) -> None:
    install("foo", ATTENTION.format(name="banded"))
    said = "two plugins claim attention=banded: gptkit.attention of gptkit and foo of gptkit-foo; uninstall one"
    for words in (["plan", "attention=banded"], ["plan", "attention=banded", "--help"], ["plugins", "name=banded"]):
        outcome = gptkit_command(*words)
        assert outcome.status == 2
        assert said in outcome.error_line
    assert gptkit_command("plan", "attention=dense", "--cfg", "job").status == 0
    with pytest.raises(ConfigError, match="two plugins claim attention=banded"):
        gptkit.compose("plan", ["attention=banded"])
    with pytest.raises(ConfigError, match="two plugins claim attention=banded"):
        registry().resolve("attention", {"name": "banded"})


VERB = """
    from dataclasses import dataclass
    from typing import ClassVar
    from gptkit import hookimpl
    from gptkit.command import Command

    @dataclass
    class Wave(Command):
        "Wave."
        verb: ClassVar[str] = "wave"

        def run(self, folder):
            print("hello")

    @hookimpl
    def gptkit_command():
        return [Wave]
"""
WAVE = {"wave.yaml": "defaults:\n  - command/wave\n  - base/reads_only\n  - _self_\n"}


def test_two_plugins_with_one_verb_leave_the_others_alone(
    install: Callable[..., None], gptkit_command: Callable[..., object], in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("foo", VERB, conf=WAVE)
    install("bar", VERB, conf=WAVE)
    said = "two plugins claim command=wave: bar of gptkit-bar and foo of gptkit-foo"
    for words in (["wave"], ["wave", "--help"], ["wave", "x=1"]):
        outcome = gptkit_command(*words)
        assert outcome.status == 2
        assert said in outcome.error_line
    assert said in " ".join(gptkit_command("--help").out.split())
    listed = gptkit_command("plugins")
    assert listed.status == 0
    assert said in listed.err
    assert gptkit_command("plan", "--cfg", "job").status == 0
    monkeypatch.setenv("COMP_LINE", "gptkit pl")
    assert gptkit_command("-sc", "query=bash").out.split() == ["plan", "plugins"]


def test_two_distributions_whose_plugins_have_one_name(
    install: Callable[..., None], gptkit_command: Callable[..., object], tmp_path: Path
) -> None:
    install("foo", ATTENTION.format(name="mine"))
    (tmp_path / "other-1.0.dist-info").mkdir()
    (tmp_path / "other-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (tmp_path / "other-1.0.dist-info" / "entry_points.txt").write_text("[gptkit]\nfoo = foo\n")
    registry.cache_clear()
    page = " ".join(gptkit_command("--help").out.split())
    assert re.search(r"two installed plugins are called foo: (gptkit-foo and other|other and gptkit-foo); uninstall one", page)
    assert gptkit_command("plan", "attention=mine", "--cfg", "job").status == 0


def test_a_broken_plugin_is_named_and_the_rest_works(install: Callable[..., None], gptkit_command: Callable[..., object]) -> None:
    install("broken", "raise RuntimeError('no libfoo here')")
    install("foo", ATTENTION.format(name="foo"))
    assert gptkit.compose("plan", ["attention=foo"]).settings.attention.name == "foo"
    outcome = gptkit_command("plan", "attention=brokn")
    assert outcome.status == 2
    assert "broken of gptkit-broken failed to load: RuntimeError: no libfoo here" in outcome.error_line
    for words in (("bands",), ("train", "+brokenpaper=small")):  # its verb, its paper
        assert "broken of gptkit-broken failed to load: RuntimeError: no libfoo here" in gptkit_command(*words).error_line
    assert "no libfoo here" in gptkit_command("--help").out


def test_a_misspelt_hook_is_named(install: Callable[..., None]) -> None:
    install("foo", ATTENTION.format(name="foo").replace("gptkit_attention", "gptkit_atention"))
    (failure,) = registry().failures
    assert failure.owned == "foo of gptkit-foo"
    assert "there is no hook gptkit_atention. Did you mean gptkit_attention?" in failure.reason


def test_a_module_that_leaves_the_program_is_a_plugin_that_failed(install: Callable[..., None]) -> None:
    install("foo", "import sys\n\nsys.exit(3)\n")
    assert [(failure.owned, failure.reason) for failure in registry().failures] == [("foo of gptkit-foo", "SystemExit: 3")]


def test_a_name_in_gptkit_plugins_that_is_not_installed_is_named(
    install: Callable[..., None], gptkit_command: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("foo", ATTENTION.format(name="foo"))
    monkeypatch.setenv("GPTKIT_PLUGINS", "foo,fooo")
    outcome = gptkit_command("plan", "attention=bar")
    assert "The plugin fooo failed to load: GPTKIT_PLUGINS names it, and it is not installed." in outcome.error_line


def test_a_mistake_in_a_strangers_paper_names_the_file(
    install: Callable[..., None], gptkit_command: Callable[..., object], in_folder: Path
) -> None:
    start = "# @package _global_\ndefaults:\n  - override /{group}: foo\n  - _self_\n"
    papers = {
        "wrong/group.yaml": start.format(group="atention"),
        "wrong/key.yaml": start.format(group="attention") + "model:\n  layerz: 7\n",
        "wrong/value.yaml": start.format(group="attention") + "model:\n  layers: many\n",
        "wrong/package.yaml": "model: {layers: 3}\n",
        "wrong/text.yaml": "model: {layers: 7\n",
    }
    install("foo", ATTENTION.format(name="foo"), conf=papers)
    for paper, said in {
        "group": "conf/wrong/group.yaml: there is no group atention. Did you mean attention?",
        "key": "conf/wrong/key.yaml: there is no key model.layerz. Did you mean model.layers?",
        "value": "conf/wrong/value.yaml: model.layers=many must be a whole number",
        "package": "conf/wrong/package.yaml: its first line must be # @package _global_",
        "text": "text.yaml: line 2 is no YAML: expected ',' or '}'",
    }.items():
        outcome = gptkit_command("plan", f"+wrong={paper}")
        assert (outcome.status, outcome.out) == (2, "")
        assert said in outcome.error_line


def test_a_verb_without_a_configuration_is_named(install: Callable[..., None], gptkit_command: Callable[..., object]) -> None:
    install(
        "foo",
        """
        from dataclasses import dataclass
        from typing import ClassVar
        from gptkit import hookimpl
        from gptkit.command import Command

        @dataclass
        class Wave(Command):
            "Wave."
            verb: ClassVar[str] = "wave"

        @hookimpl
        def gptkit_command():
            return [Wave]
        """,
    )
    assert "the verb wave of gptkit-foo lacks its configuration, conf/wave.yaml" in gptkit_command("wave").error_line


def test_a_part_without_a_name_is_named(install: Callable[..., None]) -> None:
    install("foo", ATTENTION.format(name=""))
    assert "Mine has no name; give its field `name` a default" in registry().failures[0].reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("@dataclass\n", "\n"), "Mine lacks @dataclass"),
        (("@dataclass\n", "@dataclass(slots=True)\n"), "Mine must be a plain @dataclass, without slots"),
        (("[Mine]", "Mine"), "gptkit_attention() must return a list of part classes, not <class"),
        (("return [Mine]", "raise RuntimeError('boo')"), "gptkit_attention() failed: RuntimeError: boo"),
        (("gptkit_attention()", "gptkit_attention(config)"), "a hook takes no arguments, as in def gptkit_attention():"),
        (('"mine"', '"a b=c"'), "Mine is called 'a b=c'; a name has letters"),
        (("[Mine]", "['mine']"), "gptkit_attention returned 'mine', which is no dataclass"),
        (("gptkit_attention()", "gptkit_reward()"), "gptkit_reward returned Mine, which is no gptkit.reward.RewardConfig"),
        (("reach: int", "reach: complex"), "the fields of Mine must have simple types"),
        (("reach: int", "reach: 'Path'"), "the fields of Mine must have simple types"),
        (("gptkit_attention()", "gptkit_attentions()"), "there is no hook gptkit_attentions. Did you mean gptkit_attention?"),
        (("@hookimpl\n    def gptkit_a", "def gptkit_a"), "gptkit_attention() lacks @gptkit.hookimpl"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_mistake_in_a_plugin_is_one_line_that_names_it(
    install: Callable[..., None],
    gptkit_command: Callable[..., object],
    in_folder: Path,
    change: tuple[str, str],
    said: str,
) -> None:
    install("foo", ATTENTION.format(name="mine").replace(*change))
    outcome = gptkit_command("plan", "attention=mine")
    assert (outcome.status, outcome.out) == (2, "")
    assert "plugin foo of gptkit-foo" in outcome.error_line
    assert said in outcome.error_line
    assert gptkit_command("plan", "--cfg", "job").status == 0


@pytest.mark.parametrize(
    ("words", "said"),
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
def test_a_wrong_word_about_a_strangers_part(
    install: Callable[..., None], gptkit_command: Callable[..., object], in_folder: Path, words: list[str], said: str
) -> None:
    install("foo", ATTENTION.format(name="mine"))
    outcome = gptkit_command("plan", *words)
    assert (outcome.status, outcome.out) == (2, "")
    assert said in outcome.error_line


def test_what_goes_wrong_inside_a_verb_is_no_error_of_the_words(
    install: Callable[..., None], gptkit_command: Callable[..., object], in_folder: Path
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

            def run(self, folder):
                raise ValueError("a fault of the program")

        @hookimpl
        def gptkit_command():
            return [Boom]
    """
    install("boom", verb, conf={"boom.yaml": "defaults:\n  - command/boom\n  - base/reads_only\n  - _self_\n"})
    outcome = gptkit_command("boom")
    assert outcome.status == 1
    assert "unexpected ValueError in the plugin boom of gptkit-boom: a fault of the program" in outcome.error_line


def test_the_environment_restricts_which_plugins_load(install: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    install("foo", ATTENTION.format(name="foo"))
    install("bar", ATTENTION.format(name="bar"))
    monkeypatch.setenv("GPTKIT_PLUGINS", "bar")
    registry.cache_clear()
    assert "bar" in registry().parts["attention"]
    assert "foo" not in registry().parts["attention"]


def test_resolve_says_what_does_not_fit() -> None:
    assert registry().resolve("attention", {"name": "banded", "window": 3}).window == 3
    with pytest.raises(ConfigError, match=r"there is no key attention\.windoww\. Did you mean attention\.window\?"):
        registry().resolve("attention", {"name": "banded", "windoww": 3})
    with pytest.raises(ConfigError, match=r"attention.window=0 must be at least 1"):
        registry().resolve("attention", {"name": "banded", "window": 0})
