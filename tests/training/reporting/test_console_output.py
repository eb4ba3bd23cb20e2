"""The lines that a run prints at its start and end."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gptkit
from gptkit.config.command_line import parse_command_line
from gptkit.training.reporting.console_output import usage_command

RULES = ("data=prompts", "reward=rules", "reward.length=1", "objective.max_new_tokens=4")


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.strip()]


def test_start_line_names_the_data_and_end_line_the_report_and_command(
    train: Callable[..., Any], tiny_words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a run"
    result = train(folder, "trainer.max_steps=1")
    first, *_, last = lines(capsys)
    path = next(word for word in tiny_words if word.startswith("data.path=")).partition("=")[2]
    assert f"on text ({path})" in first
    assert f"gpt of {result['parameters']:,} parameters, " in first
    assert f"report: {folder / 'report.html'}" in last
    assert (folder / "report.html").is_file()
    words = shlex.split(last.partition("gptkit ")[2])
    assert words == ["generate", f"checkpoint={folder}", "prompt=..."]
    parse_command_line(words)


def test_start_line_counts_value_network_parameters_separately(
    train: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompts.jsonl").write_text("".join(f'{{"prompt": "count {n}:"}}\n' for n in range(20)), encoding="utf-8")
    words = ("objective=ppo", *RULES, f"data.path={tmp_path / 'prompts.jsonl'}", "tokenizer=bytes", "model.context=24")
    train(tmp_path / "run", "trainer.max_steps=1", *words)
    first = next(line for line in lines(capsys) if line.startswith("training: "))
    model = sum(tensor.numel() for tensor in gptkit.load(str(tmp_path / "run"))[0].parameters())
    assert (
        f"gpt of {model:,} parameters and {model + 17:,} of objective=ppo, on prompts (" in first
    )  # the value network adds a head of 16 weights and a bias


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["objective=aux_lm", "data=movie_reviews"], "gptkit predict checkpoint='a run' input=texts.csv"),
        (
            ["objective=reward", "data=review_rankings"],
            "gptkit generate checkpoint=runs/policy prompt=\"...\" best_of=4 reward='a run'",
        ),
        (["objective=sft", "data=review_dialogues"], "gptkit generate checkpoint='a run' prompt=\"...\""),
        (["objective=sft", "data=review_dialogues", "chat_template=chatml"], "gptkit chat checkpoint='a run'"),
    ],
)
def test_end_line_names_the_command_for_the_objective(words: list[str], expected: str) -> None:
    settings: Any = gptkit.compose("train", words).settings
    assert usage_command(settings, Path("a run")) == expected


def test_run_shorter_than_its_warmup_logs_a_warning(
    train: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path / "run", "optimizer.schedule.warmup=375e6", "trainer.max_steps=2")["steps"] == 2
    assert any("append optimizer.schedule.warmup=0.02" in line for line in lines(capsys))
