"""The verb `plan`, as typed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gptkit
from gptkit.command import PlanCommand
from gptkit.command.plan import make_plan
from gptkit.command.plan_table import format_duration, format_quantity
from tests.command_line import GptkitCommand


def planned_with(*words: str) -> dict[str, Any]:
    settings = gptkit.compose("plan", list(words)).settings
    assert isinstance(settings, PlanCommand)
    return make_plan(settings)


def test_json_has_every_value_of_the_plan(gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("plan", "+gpt2=1558m", "device=a100", "devices=8", "format=json")
    assert outcome.status == 0, outcome.err
    result = json.loads(outcome.out)
    assert result["parameters"] == 1_557_611_200 == sum(result["parameters_by_part"].values())
    assert result["vocabulary"] == 50_257
    assert result["vocabulary_estimated"] is False
    assert result["steps"] == 250_000
    assert result["tokens"] == 131_072_000_000
    assert result["flops_total"] == result["flops_per_token"] * result["tokens"]
    assert result["pf_days"] == pytest.approx(6 * result["parameters"] * result["tokens"] / 8.64e19)
    parts = dict(result["memory_per_device_bytes"])
    assert parts.pop("total") == sum(parts.values())
    assert result["device"] == "a100"
    assert result["devices"] == 8
    assert result["mfu_assumed"] == 0.4
    assert result["time_seconds"] == pytest.approx(result["flops_total"] / (0.4 * 8 * 312e12))


def test_table_shows_the_values_of_the_plan(gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("plan", "+gpt3=175b", "device=h100", "devices=1024", "trainer=fsdp2")
    assert outcome.status == 0, outcome.err
    assert "174,604,259,328" in outcome.out
    assert "3,638 PF-days" in outcome.out
    assert "DOES NOT FIT" in outcome.out
    assert outcome.err == ""


@pytest.mark.process
def test_175b_is_planned_without_torch() -> None:
    """On a named device nothing is built or measured, so torch is not even imported."""
    code = (
        "import sys, gptkit; gptkit.run(gptkit.compose('plan', ['+gpt3=175b', 'device=h100', 'format=json']));"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["parameters"] == 174_604_259_328


def test_auto_device_measures_this_machine() -> None:
    result = planned_with("+gpt2=124m", "trainer=cpu")
    assert result["peak_flops_per_device"] > 1e9
    assert "measured" in result["peak_source"]
    assert result["time_seconds"] > 0
    assert result["device_memory_bytes"] > 1e8


def test_vocabulary_that_depends_on_the_text_is_marked_as_estimated(gptkit_command: GptkitCommand) -> None:
    assert planned_with("tokenizer=char", "device=t4")["vocabulary_estimated"] is True
    assert planned_with("tokenizer=bytes", "device=t4")["vocabulary"] == 257
    assert planned_with("tokenizer=bpe", "tokenizer.size=1000", "device=t4")["vocabulary"] == 1000
    assert "estimated" in gptkit_command("plan", "tokenizer=char", "device=t4").out


def test_max_steps_overrides_tokens() -> None:
    result = planned_with("+gpt2=124m", "trainer.max_steps=10", "device=a100")
    assert result["steps"] == 10
    assert result["tokens"] == 10 * 512 * 1024


def test_plan_chooses_the_largest_micro_batch_that_fits() -> None:
    small, large = (planned_with("+gpt2=355m", f"device={device}") for device in ("t4", "h200"))
    assert small["fits"]
    assert large["fits"]
    assert small["micro"] < large["micro"] <= 512
    planned = planned_with("+gpt2=355m", "device=t4", "batch.micro=512")
    assert planned["micro"] == 512
    assert not planned["fits"]
    assert planned_with("+gpt2=355m", "device=h200", "devices=256")["micro"] == 2


def test_precision_follows_the_device() -> None:
    assert planned_with("device=v100")["precision"] == "16-mixed"
    assert planned_with("device=h100")["precision"] == "bf16-mixed"
    full = planned_with("device=h100", "trainer.precision=32-true")
    assert full["peak_flops_per_device"] == 67e12
    assert planned_with("device=tpu-v4", "trainer.precision=32-true")["time_seconds"] is None


def test_every_part_can_be_planned() -> None:
    for word in ("attention=banded", "attention=alternating", "optimizer=muon", "model.tied=false", "tokenizer=bytes"):
        assert planned_with(word, "device=h100")["parameters"] > 0


def test_plan_counts_the_models_of_reinforcement_learning(gptkit_command: GptkitCommand) -> None:
    """Policy, value, reference and reward are four times the weights; the average is a fifth; two of them are trained."""
    result = planned_with("+instructgpt=ppo_ptx", "device=h100")
    parts, weights = result["memory_per_device_bytes"], 4 * result["parameters"]
    assert (result["trained_models"], result["frozen_models"]) == (["value"], ["reference", "reward"])
    assert (parts["weights"], parts["other models"], parts["average"]) == (weights, 3 * weights, weights)
    assert (parts["gradients"], parts["optimizer"]) == (2 * weights, 4 * weights)
    alone = planned_with("+instructgpt=ppo_init", "device=h100")["memory_per_device_bytes"]
    assert not {"other models", "average"} & alone.keys()
    assert (alone["weights"], alone["optimizer"]) == (weights, 2 * weights)
    rows = gptkit_command("plan", "+instructgpt=ppo_ptx", "device=h100").out
    assert "value (trained), reference, reward" in rows
    assert "moving average of the weights" in rows


def test_plan_counts_the_passes_of_reinforcement_learning(gptkit_command: GptkitCommand) -> None:
    """In forward passes over the step's episodes: one draws, four score, two models learn, one also from 8 texts each."""
    result, plain = planned_with("+instructgpt=ppo_ptx", "device=h100"), planned_with("+instructgpt=ppo_init", "device=h100")
    forward = plain["flops_per_token"] / 3
    stages = {stage: round(count / forward, 6) for stage, count in result["flops_per_token_by_stage"].items()}
    assert stages == {"generate": 1, "score": 4, "ppo": 6, "ptx": 24}
    assert result["time_seconds"] == pytest.approx(result["flops_total"] / (0.4 * result["peak_flops_per_device"]))
    rows = gptkit_command("plan", "+instructgpt=ppo_ptx", "device=h100").out
    assert "ptx" in rows
    assert "token by token" in rows
    assert "ptx" not in planned_with("+instructgpt=ppo", "device=h100")["flops_per_token_by_stage"]
    group = planned_with("objective=grpo", "objective.group=5", "reward=lexicon", "device=h100")["flops_per_token_by_stage"]
    assert group["grpo"] == pytest.approx(5 * planned_with("device=h100")["flops_per_token"])
    assert planned_with("objective=probe", "device=h100")["flops_per_token"] == planned_with("device=h100")["flops_per_token"] / 3


def test_errors_suggest_a_fix(gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("plan", "device=h10")
    assert outcome.status == 2
    assert "Did you mean h100?" in outcome.error_line
    outcome = gptkit_command("plan", "device=h100", "devices=0")
    assert outcome.status == 2
    assert "devices=0 must be at least 1" in outcome.error_line


def test_quantities_and_durations_are_formatted() -> None:
    assert [format_quantity(v, "B") for v in (0, 999, 1000, 1.5e9, 2.49e13)] == ["0 B", "999 B", "1 kB", "1.5 GB", "24.9 TB"]
    assert format_quantity(3.15e23, "FLOP") == "3.15e+23 FLOP"
    assert [format_duration(s) for s in (0.5, 59, 61, 3600, 90_000, 400 * 86_400)] == [
        "0.5 s",
        "59 s",
        "1 min 1 s",
        "1 h 0 min",
        "1 d 1 h",
        "1 y 35 d",
    ]


PAPERS_PAGE = Path(__file__).resolve().parents[2] / "docs" / "papers.md"


@pytest.mark.parametrize(
    ("command", "shown"),
    re.findall(r"^```console\n\$ gptkit (plan .*)\n((?:.*\n)*?)```", PAPERS_PAGE.read_text(encoding="utf-8"), re.MULTILINE),
)
def test_documented_plans_show_real_output(command: str, shown: str, gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command(*command.split())
    assert [line.rstrip() for line in outcome.out.splitlines()] == shown.splitlines()
