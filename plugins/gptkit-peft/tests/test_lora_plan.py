"""`gptkit plan` with an adapter: trained parameters, memory and operations. Commands of docs/adapters.md compose."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig

import gptkit
from gptkit.command.plan import make_plan
from gptkit.command.plan_table import print_plan

SIZES = ["+gpt2=124m", "batch.micro=1", "trainer.precision=32-true"]
LAYERS = 12 * ((768 + 2304) + (768 + 768) + (768 + 3072) + (3072 + 768))
"""The sizes of the inputs and outputs of all adapted layers."""


def planned(*words: str) -> dict[str, Any]:
    settings: Any = gptkit.compose("plan", [*SIZES, *words]).settings
    return make_plan(settings)


def test_gradients_and_optimizer_state_are_those_of_the_adapter(capsys: Any) -> None:
    plain, adapted = planned(), planned("adapter=lora", "adapter.rank=8")
    trained = 8 * LAYERS
    assert (plain["trained_parameters"], plain["adapter"]) == (plain["parameters"], None)
    assert (adapted["trained_parameters"], adapted["adapter"]) == (trained, "lora")
    memory = adapted["memory_per_device_bytes"]
    assert memory["weights"] == 4 * (adapted["parameters"] + trained)
    assert (memory["gradients"], memory["optimizer"]) == (4 * trained, 8 * trained)
    assert adapted["flops_per_token"] == plain["flops_per_token"] * 2 / 3
    print_plan(adapted)
    assert f"{trained:,}" in capsys.readouterr().out


def test_policy_and_reference_cost_one_copy() -> None:
    words = ["objective=ppo", "data=prompts", "data.path=x.jsonl", "reward=lexicon"]
    plain, adapted = planned(*words), planned(*words, "adapter=lora", "adapter.rank=8")
    assert plain["frozen_models"] == ["reference", "reward"]
    assert adapted["frozen_models"] == ["reward"]
    copies = 4 * plain["parameters"]
    assert plain["memory_per_device_bytes"]["other models"] == 3 * copies  # reference, reward and value network
    assert adapted["memory_per_device_bytes"]["other models"] == copies
    assert adapted["memory_per_device_bytes"]["gradients"] == 2 * 4 * 8 * LAYERS


def test_commands_of_the_documentation_compose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LlamaConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2).save_pretrained(tmp_path / "SmolLM2-135M-Instruct")
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[3] / "docs/adapters.md").read_text(encoding="utf-8")
    commands = re.findall(r"^(?:\$ )?gptkit (train|plan) (.*)$", page.replace("\\\n", " "), re.MULTILINE)
    assert len(commands) == 6
    for verb, words in commands:
        gptkit.compose(verb, [word for word in shlex.split(words) if not word.startswith("init_from=")])
