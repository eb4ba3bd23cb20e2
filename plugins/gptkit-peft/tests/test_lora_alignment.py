"""Alignment with an adapter: reward model, DPO, PPO and GRPO, whose reference is the same model with the adapter turned off."""

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft_fixtures import Train
from safetensors.torch import load_file

import gptkit
from gptkit.model.base import parameter_count
from gptkit.training.checkpoints.load import load_objective, open_checkpoint
from gptkit.training.setup import Components, build_components

LORA = ("adapter=lora", "adapter.rank=2")
ADAPTER = 2 * 2 * (16 + 48 + 16 + 16 + 16 + 64 + 64 + 16)
ROLLOUTS = ("reward=rules", "reward.length=1", "objective.max_new_tokens=6", "objective.missing_end_of_text=null")


def checkpoint_of(run: Path) -> Path:
    return open_checkpoint(str(run)).folder


def components_of(run: Path) -> Components:
    """The model and the objective with which a run of these settings starts."""
    settings: Any = gptkit.compose("train", [f"hydra.run.dir={run}"]).settings
    return build_components(settings)


def held_parameters(components: Components) -> int:
    """The number of parameters in memory; those that models share count once."""
    return parameter_count(torch.nn.ModuleList([components.model, components.objective]))


def test_a_reward_model_is_an_adapter_and_a_head(train: Train, tmp_path: Path) -> None:
    train("rm", "objective=reward", *LORA)
    folder = checkpoint_of(tmp_path / "rm")
    assert sum(tensor.numel() for tensor in load_file(folder / "adapter.safetensors").values()) == ADAPTER
    assert load_file(folder / "objective.safetensors").keys() == {"head.weight", "head.bias", "bias"}
    trained = load_objective(str(tmp_path / "rm"))
    assert trained.model.adapter is None  # merged
    assert trained.fingerprint == open_checkpoint(str(tmp_path / "rm")).fingerprint


def test_dpo_needs_no_copy_of_the_model(train: Train, base: Path, tmp_path: Path) -> None:
    train("dpo", "objective=dpo", *LORA)
    assert not (checkpoint_of(tmp_path / "dpo") / "objective.safetensors").exists()
    components = components_of(tmp_path / "dpo")
    model, objective = components.model, components.objective
    assert held_parameters(components) == parameter_count(gptkit.load(str(base))[0]) + ADAPTER
    batch = components.datasets["train"].batch([0, 1])
    total = objective.loss(model, batch)[0]["ranking"][1]
    assert float(total.detach()) == pytest.approx(2 * math.log(2))  # policy and reference are equal
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    moved = objective.loss(model, batch)[0]["ranking"][1]
    assert float(moved.detach()) != pytest.approx(2 * math.log(2))
    moved.backward()
    assert all((parameter.grad is not None) == parameter.requires_grad for parameter in model.parameters())
    load_objective(str(tmp_path / "dpo"))


@pytest.mark.parametrize(("objective", "adapters"), [("ppo", 2), ("grpo", 1)])
def test_policy_reference_and_value_network_share_the_base(
    train: Train, base: Path, tmp_path: Path, objective: str, adapters: int
) -> None:
    train("run", f"objective={objective}", *ROLLOUTS, *LORA)
    components = components_of(tmp_path / "run")
    head = 17 if objective == "ppo" else 0
    assert held_parameters(components) == parameter_count(gptkit.load(str(base))[0]) + adapters * ADAPTER + head
    trained = [each for module in (components.model, components.objective) for each in module.parameters() if each.requires_grad]
    assert sum(parameter.numel() for parameter in trained) == adapters * ADAPTER + head
    if objective == "ppo":
        saved = load_file(checkpoint_of(tmp_path / "run") / "objective.safetensors")
        assert sum(tensor.numel() for tensor in saved.values()) == ADAPTER + head + 1  # and kl_coef
        policy, value = dict(components.model.named_parameters()), dict(components.objective.named_parameters())
        assert policy["wte.weight"] is value["value.model.wte.weight"]


@pytest.mark.parametrize(
    "words", [("objective=ppo", *ROLLOUTS), ("objective=grpo", *ROLLOUTS), ("objective=dpo",)], ids=["ppo", "grpo", "dpo"]
)
def test_a_run_resumes_bit_for_bit(train: Train, tmp_path: Path, words: tuple[str, ...]) -> None:
    words = (*words, *LORA, "trainer.max_steps=4", "save.every=2", "save.keep=0")
    train("whole", *words)
    shutil.copytree(tmp_path / "whole/checkpoints/step-00000002", tmp_path / "split/checkpoints/step-00000002")
    train("split", *words)  # as after a crash in step 3
    for name in ("adapter.safetensors", "objective.safetensors"):
        files = [tmp_path / run / "checkpoints/step-00000004" / name for run in ("whole", "split")]
        assert files[0].exists() == files[1].exists()
        if files[0].exists():
            assert files[0].read_bytes() == files[1].read_bytes()


def test_ppo_with_a_reward_model_and_a_value_network_that_starts_from_it(train: Train, tmp_path: Path) -> None:
    train("rm", "objective=reward", *LORA)
    words = ("objective=ppo", "reward=model", f"reward.checkpoint={tmp_path / 'rm'}", *ROLLOUTS[2:], *LORA, "save.every=1")
    result = train("ppo", *words)
    assert result["parameters"] == 2 * ADAPTER + 17
    saved = load_file(checkpoint_of(tmp_path / "ppo") / "objective.safetensors")
    assert sum(tensor.numel() for tensor in saved.values()) == ADAPTER + 17 + 1
    shutil.copytree(tmp_path / "ppo/checkpoints/step-00000002", tmp_path / "again/checkpoints/step-00000002")
    train("again", *words)
    both = [(tmp_path / run / "checkpoints/step-00000003/objective.safetensors").read_bytes() for run in ("ppo", "again")]
    assert both[0] == both[1]
