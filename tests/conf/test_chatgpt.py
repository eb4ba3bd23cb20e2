"""ChatGPT's stages are InstructGPT's on dialogues, and train with +shrink=tiny."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

import gptkit
from gptkit.chat_template import ChatMLConfig
from gptkit.config_groups import groups
from gptkit.training.checkpoints.load import load_objective

STAGES = ("sft", "rm", "ppo_ptx")


def settings_of(*words: str) -> Any:
    return gptkit.compose("plan", list(words)).settings


def test_the_group_has_all_stages() -> None:
    assert set(groups()["chatgpt"]) == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_that_of_instructgpt_with_a_template(stage: str) -> None:
    chat, instruct = settings_of(f"+chatgpt={stage}"), settings_of(f"+instructgpt={stage}")
    assert chat.chat_template == ChatMLConfig()
    same = dataclasses.replace(chat, chat_template=instruct.chat_template, data=instruct.data)
    assert same == instruct


def row(number: int) -> dict[str, object]:
    contents = (("system", "Add."), ("user", f"{number}+1?"), ("assistant", f"{number + 1}."), ("user", "+1?"), ("assistant", "2."))
    return {"messages": [{"role": role, "content": content} for role, content in contents]}


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning 2.6 on torch 2.13
def test_the_stages_train_one_after_another_with_one_template(tmp_path: Path) -> None:
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(row(number)) + "\n" for number in range(20)), encoding="utf-8")
    demos = [{"prompt": f"{number}?", "completion": "Yes."} for number in range(20)]
    (tmp_path / "demos.jsonl").write_text("".join(json.dumps(each) + "\n" for each in demos), encoding="utf-8")
    rankings = [{"prompt": row(number)["messages"][:2], "completions": ["2.", "x"], "ranks": [0, 1]} for number in range(20)]  # type: ignore[index]
    (tmp_path / "rankings.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rankings), encoding="utf-8")
    (tmp_path / "a.txt").write_text("The quick brown fox jumps over the lazy dog. " * 400, encoding="utf-8")

    def train(stage: str, *words: str) -> None:
        common = [f"+chatgpt={stage}", "+shrink=tiny", "model.context=128", "trainer=cpu", "trainer.max_steps=1", "tokenizer=bytes"]
        gptkit.run(gptkit.compose("train", [*common, *words, f"hydra.run.dir={tmp_path / stage}"]))

    chats, texts = tmp_path / "chats.jsonl", tmp_path / "a.txt"
    sources = f"{{chats:{{name:dialogues,path:{chats}}},demos:{{name:dialogues,path:{tmp_path / 'demos.jsonl'}}}}}"
    train("sft", f"data.sources={sources}", "data.weights={demos:0.5}")
    start = f"init_from={tmp_path / 'sft'}"
    train("rm", start, "data=rankings", f"data.path={tmp_path / 'rankings.jsonl'}")
    reward = ("reward=model", f"reward.checkpoint={tmp_path / 'rm'}", f"objective.ptx_data={{name:text,path:{texts}}}")
    train("ppo_ptx", start, *reward, "data=prompts", f"data.path={chats}", "data.turn=random", "objective.max_new_tokens=4")
    templates = [load_objective(str(tmp_path / stage)).objective.chat_template for stage in STAGES]
    assert len({template.jinja for template in templates}) == 1
