"""InstructGPT's stages have the numbers of the paper, accept any part, and train with +shrink=tiny."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import gptkit
from gptkit.config_groups import groups
from gptkit.plugins import registry
from gptkit.run_config import RunConfig
from gptkit.training.duration import run_length

STAGES = {"sft": "sft", "rm": "reward", "ppo_init": "sft", "ppo": "ppo", "ppo_ptx": "ppo"}
"""Stage -> its objective."""

NEEDS = {
    "data=text": ["data.path=a.txt"],
    "data=labelled": ["data.path=a.csv"],
    "data=dialogues": ["data.path=a.jsonl"],
    "data=rankings": ["data.path=a.jsonl"],
    "data=prompts": ["data.path=a.jsonl"],
    "data=choices": ["data.path=a.jsonl"],
    "data=rows": ["data.path=a.jsonl"],
    "data=mmlu": ["data.path=mmlu"],
    "data=coqa": ["data.path=a.json"],
    "data=parallel": ["data.path=a.tsv"],
    "data=cloze": ["data.path=a.jsonl"],
    "data=answers": ["data.path=a.jsonl"],
    "data=childrens_book_test": ["data.path=a.txt"],
    "data=folder": ["data.root=a"],
    "data=decontaminated": ["data.source={name:sotu}", "data.remove={a:{name:choices,path:a.jsonl}}"],
    "data=mixture": ["data.sources={a:{name:sotu}}"],
    "reward=classifier": ["reward.checkpoint=runs/a", "reward.label=good"],
    "reward=model": ["reward.checkpoint=runs/a"],
}


def settings_of(*words: str) -> RunConfig:
    settings = gptkit.compose("plan", list(words)).settings
    assert isinstance(settings, RunConfig)
    return settings


@pytest.fixture(scope="module")
def stages() -> dict[str, RunConfig]:
    return {stage: settings_of(f"+instructgpt={stage}") for stage in STAGES}


def test_the_group_has_all_stages() -> None:
    assert set(groups()["instructgpt"]) == set(STAGES)


def test_the_stages_share_the_numbers_of_the_paper(stages: dict[str, RunConfig]) -> None:
    for stage, settings in stages.items():
        model, optimizer = settings.model, settings.optimizer
        shape = (32, 4096, 32) if stage == "rm" else (24, 2048, 16)  # 6B; 1.3B
        assert (model.layers, model.width, model.heads, model.context) == (*shape, 2048)
        assert model.dropout == (0.2 if stage == "sft" else 0.0)
        assert (settings.attention.name, settings.tokenizer.name) == ("alternating", "gpt2")
        assert (optimizer.betas, optimizer.clip) == ([0.9, 0.95], 1.0)  # type: ignore[attr-defined]
        assert (optimizer.eps, optimizer.weight_decay) == (1e-8, 0.0)  # type: ignore[attr-defined]  # not published
        assert settings.objective.name == STAGES[stage]


def test_the_supervised_stages_have_the_papers_numbers(stages: dict[str, RunConfig]) -> None:
    table = {  # appendices C.1, C.2 and C.3: epochs, batch, learning rate
        "sft": (16, 32, 9.65e-6),
        "rm": (1, 64, 9e-6),
        "ppo_init": (2, 32, 5e-6),
    }
    for stage, (epochs, batch, lr) in table.items():
        settings = stages[stage]
        assert (settings.epochs, settings.batch.size, settings.optimizer.lr) == (epochs, batch, lr)
        schedule = settings.optimizer.schedule
        assert (schedule.shape, schedule.warmup, schedule.floor) == ("cosine", 0.0, 0.1)
    responses = [(stages[stage].objective.max_new_tokens, stages[stage].objective.missing_end_of_text) for stage in ("sft", "ppo")]  # type: ignore[attr-defined]
    assert responses == [(1000, -1.0)] * 2  # the checkpoint is selected by responses that are sampled as in reinforcement learning
    assert [stages[stage].objective.pretraining for stage in ("sft", "ppo_init")] == [0.0, 0.1]  # type: ignore[attr-defined]


def test_reinforcement_has_the_papers_numbers(stages: dict[str, RunConfig]) -> None:
    for stage, ptx_coef in (("ppo", 0.0), ("ppo_ptx", 27.8)):
        settings = stages[stage]
        objective: dict[str, object] = vars(settings.objective)
        paper = {"temperature": 1.0, "minibatch": 64, "inner_epochs": 1, "clip": 0.2, "kl_coef": 0.02, "discount": 1.0}
        paper |= {"value_lr": 9e-6, "ptx_coef": ptx_coef, "ptx_ratio": 8}
        assert {key: objective[key] for key in paper} == paper  # appendix C.4
        assert (settings.trainer["max_steps"], settings.batch.size) == (500, 512)  # 256k episodes
        assert settings.optimizer.lr <= 8.05e-6  # appendix E.9: above that, PPO alone diverged
        schedule = settings.optimizer.schedule
        assert (schedule.shape, schedule.start, schedule.warmup * 500) == ("constant", 0.1, 10)
        assert settings.ema == 0.992
    assert run_length(settings_of("+instructgpt=ppo", "model.context=128"))[0] == 500
    ptx, alone = stages["ppo_ptx"], stages["ppo"]
    ptx.objective.ptx_coef = 0.0  # type: ignore[attr-defined]
    ptx.objective.ptx_data = alone.objective.ptx_data  # type: ignore[attr-defined]  # not used without ptx_coef
    assert ptx == alone


def test_the_documentation_has_the_same_numbers() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "papers.md").read_text(encoding="utf-8")
    section = text.partition("\n## InstructGPT\n")[2].partition("\n## ")[0]
    assert all(f"`{stage}`" in section for stage in STAGES)
    for number in ("9.65e-6", "5.03e-6", "9e-6", "5e-6", "1.04e-5", "2.45e-6", "27.8", "0.992", "256k", "8.05e-6"):
        assert number in section, number


@pytest.mark.parametrize("stage", STAGES)
def test_any_part_can_be_chosen_in_any_stage(stage: str) -> None:
    """Replaces the parts of all kinds at once, so that each part is chosen in at least one run."""
    kinds = ("model", "attention", "objective", "tokenizer", "data", "optimizer", "reward")
    names = {kind: list(registry().parts[kind]) for kind in kinds}
    for index in range(max(map(len, names.values()))):
        chosen = {kind: names[kind][index % len(names[kind])] for kind in kinds}
        swaps = [f"{kind}={name}" for kind, name in chosen.items()]
        settings = settings_of(f"+instructgpt={stage}", *swaps, *(word for swap in swaps for word in NEEDS.get(swap, [])))
        assert {kind: getattr(settings, kind).name for kind in kinds} == chosen


ROWS: dict[str, dict[str, object]] = {
    "sft": {"prompt": "One and one?", "completion": " Two."},
    "reward": {"prompt": "One?", "completions": [" Two.", " Fine.", " No."], "ranks": [0, 1, 1], "demonstration": " Two."},
    "ppo": {"prompt": "One and"},
}


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 on torch 2.13
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_trains_two_steps_with_shrink(stage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objective = STAGES[stage]
    source, path, text = (
        {"sft": "dialogues", "reward": "rankings", "ppo": "prompts"}[objective],
        tmp_path / "a.jsonl",
        tmp_path / "a.txt",
    )
    path.write_text("".join(json.dumps(ROWS[objective] | {"system": f"{n}"}) + "\n" for n in range(20)), encoding="utf-8")
    text.write_text("The quick brown fox jumps over the lazy dog. " * 200, encoding="utf-8")
    words = [f"+instructgpt={stage}", "+shrink=tiny", f"data={source}", f"data.path={path}", "trainer=cpu"]
    words += [
        f"objective.{key}={{name:text,path:{text}}}"
        for key in {"ppo_init": ["pretraining_data"], "ppo_ptx": ["ptx_data"]}.get(stage, [])
    ]
    result = gptkit.run(gptkit.compose("train", [*words, "trainer.max_steps=2", f"hydra.run.dir={tmp_path / 'run'}"]))
    assert result["finished"]
    assert (f", mixed with the text of text ({text})" in capsys.readouterr().err) == (stage in ("ppo_init", "ppo_ptx"))
    assert result["steps"] == 2
    assert math.isfinite(result["val_loss"])
    if stage == "ppo_ptx":
        assert 10.0 < result["val_ptx_loss"] < 11.5  # ln 50,257 is 10.8
