"""Whole runs of PPO-ptx: the logged metrics, and exact resumption after a crash in a rollout."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import gptkit
from gptkit.plugin_origin import BUILTIN_ORIGIN
from gptkit.plugins import Entry, registry
from gptkit.records import Prompt
from gptkit.reward import RewardConfig
from gptkit.reward.base import Reward
from tests.objective.rl.tiny_ppo import CONTEXT, MAX_NEW_TOKENS, Vowels


@dataclasses.dataclass
class Counted(RewardConfig):
    """Counts vowels, and raises an error after a number of calls."""

    name: str = "counted"
    left: ClassVar[int] = 0

    def build(self, *, load: Any) -> Reward:
        return CountedVowels()


class CountedVowels(Vowels):
    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        Counted.left -= 1
        if Counted.left < 0:
            raise RuntimeError("pulled the plug")
        return super().__call__(prompts, responses)


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`learn(folder, *words, until=n)`: trains a tiny run of PPO-ptx."""
    monkeypatch.setitem(registry().parts["reward"], "counted", Entry(Counted, BUILTIN_ORIGIN))
    prompts, text = tmp_path / "prompts.jsonl", tmp_path / "text.txt"
    prompts.write_text("".join(json.dumps({"prompt": f"count {number}:"}) + "\n" for number in range(40)), encoding="utf-8")
    text.write_text("".join(f"{n} bottles, {n * n % 97} glasses\n" for n in range(300)), encoding="utf-8")
    words = [
        *("objective=ppo", "data=prompts", f"data.path={prompts}", "tokenizer=bytes", "trainer.accelerator=cpu"),
        *("model.layers=1", "model.heads=2", "model.width=16", f"model.context={CONTEXT}", "batch.size=8"),
        *(
            "trainer.max_steps=4",
            "optimizer.lr=0.01",
            "save.every=1",
            "val.every=2",
            "val.sequences=4",
            "val.fraction=0.2",
            "ema=0.9",
        ),
        *("objective.minibatch=4", f"objective.max_new_tokens={MAX_NEW_TOKENS}", "objective.missing_end_of_text=null"),
        *("val.fraction=0.2", "objective.kl_target=1", "objective.value_lr=0.002", "objective.ptx_coef=1", "objective.ptx_ratio=1"),
        *("objective.ptx_data.name=text", f"+objective.ptx_data.path={text}", "trainer.log_every_n_steps=1"),
    ]

    def run(folder: Path, *more: str, until: int = 10_000) -> Any:
        job = gptkit.compose("train", [*words, *more, f"hydra.run.dir={folder}"])
        job.settings.reward = Counted()  # type: ignore[attr-defined]
        monkeypatch.setattr(Counted, "left", until)
        return gptkit.run(job)

    return run


def newest(folder: Path) -> dict[str, Tensor]:
    last = max((folder / "checkpoints").glob("step-*"))
    return {
        f"{path.name}:{name}": tensor for path in sorted(last.rglob("*.safetensors")) for name, tensor in load_file(path).items()
    }


def test_a_run_reports_metrics_samples_and_judge_scores(train: Callable[..., Any], tmp_path: Path) -> None:
    result = train(tmp_path / "run", "objective.judge.name=counted")
    names = {"score", "kl", "entropy", "length", "missing_end_of_text", "explained_variance", "clip_fraction", "approximate_kl"}
    names |= {"kl_coef", "seconds_generate", "seconds_score", "seconds_ppo", "seconds_ptx"}
    names |= {"val_score", "val_kl", "val_length", "val_missing_end_of_text", "val_ptx_loss", "val_judge"}
    assert names <= result.keys()
    assert result["generated_per_second"] > 0
    assert result["tokens_per_second"] is None  # the schedule counts prompts as full contexts, which does not measure speed
    assert result["val_judge"] == result["val_score"]
    lines = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 4
    assert all(line["score"] == line["judge"] == sum(letter in "aeiou" for letter in line["text"]) for line in lines)
    assert "judge" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("calls", [10, 12])
def test_a_run_that_fails_in_a_rollout_resumes_bit_for_bit(train: Callable[..., Any], tmp_path: Path, calls: int) -> None:
    whole = train(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="pulled the plug"):
        train(tmp_path / "cut", until=calls)
    assert list((tmp_path / "cut" / "checkpoints").glob("step-*"))
    again = train(tmp_path / "cut")
    assert again["train_loss"] == whole["train_loss"]
    assert again["val_loss"] == whole["val_loss"]
    left, right = newest(tmp_path / "whole"), newest(tmp_path / "cut")
    assert left.keys() == right.keys()
    assert {name.split(":")[1].split(".")[0] for name in left} >= {"reference", "value", "kl_coef"}
    assert all(torch.equal(left[name], right[name]) for name in left)
