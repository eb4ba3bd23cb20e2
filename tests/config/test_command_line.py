"""Parsing of the command line: text is preserved exactly, numbers are converted, and parsing is idempotent."""

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
def test_text_is_preserved_exactly(text: str, gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("generate", "checkpoint=runs/x", f"prompt={text}", "--cfg", "job")
    assert outcome.status == 0, outcome.err
    assert yaml.safe_load(outcome.out)["prompt"] == text


def test_a_dollar_is_text_unless_it_names_a_key_or_a_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "you")
    words = ["checkpoint=x", "seed=7", "prompt=${a} of ${b.c}, ${d:e} and ${}, seed ${seed}, for ${oc.env:WHO}"]
    assert gptkit.compose("generate", words).settings.prompt == "${a} of ${b.c}, ${d:e} and ${}, seed 7, for you"  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", TEXTS)
def test_parsing_is_idempotent(text: str) -> None:
    # Lightning starts its workers with the parsed arguments of the first process
    once = parse_command_line(["generate", "checkpoint=a", f"prompt={text}"]).to_argv()
    assert parse_command_line(once).to_argv() == once


def test_a_path_may_contain_an_equals_sign() -> None:
    assert parse_command_line(["generate", "checkpoint=runs/step=0001"]).overrides == ("checkpoint='runs/step=0001'",)


@pytest.mark.parametrize(
    ("word", "normalized"), [("tokens=3e11", "tokens=300000000000"), ("tokens=1e6", "tokens=1000000"), ("seed=7", "seed=7")]
)
def test_floats_become_integers_for_integer_keys(word: str, normalized: str) -> None:
    assert parse_command_line(["train", word]).overrides == (normalized,)


@pytest.mark.parametrize(
    ("word", "normalized"),
    [
        ("tokens=1e5,200000,3e5", "tokens=100000,200000,300000"),
        ("tokens=range(1e5,3e5,1e5)", "tokens=range(100000,300000,100000)"),
        ("tokens=1e5,1.5", "tokens=1e5,1.5"),
        ("tokens=choice(1e5,2e5)", "tokens=choice(1e5,2e5)"),
        ("optimizer.lr=1e0,2e0", "optimizer.lr=1e0,2e0"),
    ],
)
def test_floats_of_a_sweep_become_integers_for_integer_keys(word: str, normalized: str) -> None:
    assert parse_command_line(["train", "-m", word]).overrides == (normalized,)


def test_floats_are_unchanged_for_float_keys() -> None:
    assert parse_command_line(["train", "optimizer.lr=1e-3"]).overrides == ("optimizer.lr=1e-3",)


def test_commas_sweep_only_with_m() -> None:
    assert parse_command_line(["train", "-m", "init_from=a,b"]).overrides == ("init_from=a,b",)
    assert parse_command_line(["train", "init_from=a,b"]).overrides == ("init_from='a,b'",)
    assert parse_command_line(["train", "+gpt2=124m,355m", "-m"]).multirun


def test_flags_may_appear_anywhere() -> None:
    words = parse_command_line(["train", "seed=1", "--cfg", "job", "tokens=5"])
    assert words.to_argv() == ["--config-name", "train", "--cfg=job", "seed=1", "tokens=5"]
    assert parse_command_line(words.to_argv()) == words


@pytest.mark.parametrize("verb", ["train", "plan"])
def test_shrink_must_come_after_the_paper(verb: str, gptkit_command: GptkitCommand) -> None:
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
def test_flags_are_normalized(typed: list[str], flags: tuple[str, ...]) -> None:
    # --multirun must be recognized in any form: passed on to the jobs of a sweep, it would start sweeps forever
    assert parse_command_line(["train", *typed]).flags == flags
    assert parse_command_line([*typed, "train"]).flags == flags if typed[-1] != "--info" else True


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--experimental-rerun=job.pickle"], "would load a pickle"),
        (["--package", "model"], "add --cfg job"),
        (["x" * 100_000 + "=1"], "has 100,000 characters; the longest key has at most 200"),
        (["+" + "a." * 3000 + "a=1"], "has 6,001 characters; the longest key has at most 200"),
        (["seed=" + "[" * 2000], "seed="),
        (["x" * 100_000], "is not an override"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else value[0][:20],
)
def test_invalid_words_are_rejected_in_one_short_line(
    words: list[str], message: str, gptkit_command: GptkitCommand, in_folder: object
) -> None:
    outcome = gptkit_command("train", *words)
    assert outcome.status == 2
    assert message in outcome.error_line
    assert len(outcome.error_line) < 2100
