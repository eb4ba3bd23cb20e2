"""Words on the way in: text arrives as typed, numbers as meant, and what comes out is accepted again."""

from __future__ import annotations

import pytest
import yaml

import gptkit
from gptkit.config.command_line import parse_command_line
from tests.command_line import GptkitCommand

TEXTS = [
    "Hello, world",
    "Don't (stop), friend; 100% ~ <|endoftext|>",
    "He said \"no\" and 'yes'",
    "step=0001",
    "a=b=c",
    "[not a list",
    "{neither, a: mapping}",
    "[a, list, to, hydra]",
    "élan, 你好 \U0001f600",
    "two\nlines\tand a tab",
    "back\\slash \\' and \\\\",
    "1e6",
    "true",
    "2024",
    "~/x",
    "# no comment",
    " spaces ",
    "trailing backslash\\",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_arrives_as_typed(text: str, gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("generate", "checkpoint=runs/x", f"prompt={text}", "--cfg", "job")
    assert outcome.status == 0, outcome.err
    assert yaml.safe_load(outcome.out)["prompt"] == text


def test_a_dollar_is_text_unless_it_names_a_key_or_a_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "you")
    words = ["checkpoint=x", "seed=7", "prompt=${a} of ${b.c}, ${d:e} and ${}, seed ${seed}, for ${oc.env:WHO}"]
    assert gptkit.compose("generate", words).settings.prompt == "${a} of ${b.c}, ${d:e} and ${}, seed 7, for you"  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", TEXTS)
def test_words_are_accepted_again_as_they_stand(text: str) -> None:
    # Lightning starts its workers with the words that the first process was left with
    once = parse_command_line(["generate", "checkpoint=a", f"prompt={text}"]).to_argv()
    assert parse_command_line(once).to_argv() == once


def test_a_path_with_an_equals_sign() -> None:
    assert parse_command_line(["generate", "checkpoint=runs/step=0001"]).overrides == ("checkpoint='runs/step=0001'",)


@pytest.mark.parametrize(
    ("word", "kept"), [("tokens=3e11", "tokens=300000000000"), ("tokens=1e6", "tokens=1000000"), ("seed=7", "seed=7")]
)
def test_whole_floats_become_whole_numbers_where_those_are_wanted(word: str, kept: str) -> None:
    assert parse_command_line(["train", word]).overrides == (kept,)


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("tokens=1e5,200000,3e5", "tokens=100000,200000,300000"),
        ("tokens=range(1e5,3e5,1e5)", "tokens=range(100000,300000,100000)"),
        ("tokens=1e5,1.5", "tokens=1e5,1.5"),
        ("tokens=choice(1e5,2e5)", "tokens=choice(1e5,2e5)"),
        ("optimizer.lr=1e0,2e0", "optimizer.lr=1e0,2e0"),
    ],
)
def test_whole_floats_of_a_sweep_become_whole_numbers(word: str, kept: str) -> None:
    assert parse_command_line(["train", "-m", word]).overrides == (kept,)


def test_a_learning_rate_stays_as_it_is() -> None:
    assert parse_command_line(["train", "optimizer.lr=1e-3"]).overrides == ("optimizer.lr=1e-3",)


def test_commas_sweep_only_with_m() -> None:
    assert parse_command_line(["train", "-m", "init_from=a,b"]).overrides == ("init_from=a,b",)
    assert parse_command_line(["train", "init_from=a,b"]).overrides == ("init_from='a,b'",)
    assert parse_command_line(["train", "+gpt2=124m,355m", "-m"]).multirun


def test_flags_may_stand_anywhere() -> None:
    words = parse_command_line(["train", "seed=1", "--cfg", "job", "tokens=5"])
    assert words.to_argv() == ["--config-name", "train", "--cfg=job", "seed=1", "tokens=5"]
    assert parse_command_line(words.to_argv()) == words


@pytest.mark.parametrize("verb", ["train", "plan"])
def test_what_makes_a_paper_smaller_comes_after_it(verb: str, gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command(verb, "+shrink=tiny", "seed=1", "+gpt2=124m")
    assert outcome.status == 2
    assert outcome.error_line.endswith("write +gpt2=124m +shrink=tiny")
    assert gptkit_command(verb, "+gpt2=124m", "+shrink=tiny", "--cfg", "job").status == 0


@pytest.mark.parametrize(
    ("typed", "flags"),
    [
        (["-mm"], ("--multirun",)),
        (["-m", "--multirun"], ("--multirun",)),
        (["-cjob"], ("--cfg=job",)),
        (["--info"], ("--info=all",)),
        (["-i", "config"], ("--info=config",)),
        (["-cd", "."], ("--config-dir=.",)),
    ],
)
def test_flags_have_one_form(typed: list[str], flags: tuple[str, ...]) -> None:
    # a flag that asks for a sweep, handed on to the sweep's jobs, would start sweeps without an end
    assert parse_command_line(["train", *typed]).flags == flags
    assert parse_command_line([*typed, "train"]).flags == flags if typed[-1] != "--info" else True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--experimental-rerun=job.pickle"], "would load a pickle"),
        (["--package", "model"], "add --cfg job"),
        (["x" * 100_000 + "=1"], "there is no key of 100,000 characters"),
        (["+" + "a." * 3000 + "a=1"], "there is no key of 6,001 characters"),
        (["seed=" + "[" * 2000], "seed="),
        (["x" * 100_000], "is not an override"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else value[0][:20],
)
def test_words_that_are_refused(words: list[str], said: str, gptkit_command: GptkitCommand, in_folder: object) -> None:
    outcome = gptkit_command("train", *words)
    assert outcome.status == 2
    assert said in outcome.error_line
    assert len(outcome.error_line) < 2100
