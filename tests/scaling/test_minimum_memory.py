"""Models that cannot fit into memory are rejected before anything is built; models that fit never are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import gptkit
from gptkit.attention import AlternatingAttentionConfig, DenseAttentionConfig
from gptkit.config_groups import papers
from gptkit.errors import ConfigError
from gptkit.model import GPTConfig, LSTMConfig, ModelConfig
from gptkit.objective import LMConfig, ProbeConfig
from gptkit.optimizer import AdamWConfig, MuonConfig
from gptkit.run_config import RunConfig
from gptkit.scaling.compute import parameters
from gptkit.scaling.minimum_memory import least_parameters, least_vocabulary, training_copies
from gptkit.tokenizer import BPETokenizerConfig, GPT2TokenizerConfig
from gptkit.training import device_memory
from gptkit.training.device_memory import check_training_fits
from tests.command_line import GptkitCommand


@pytest.mark.parametrize(
    "model",
    [
        GPTConfig(),
        GPTConfig(layers=1, heads=1, width=1, context=1),
        GPTConfig(tied=False, norm="post"),
        LSTMConfig(units=5),
        LSTMConfig(layers=1, width=4, units=9),
    ],
    ids=repr,
)
def test_parameter_bound_is_close_below_the_built_model(model: ModelConfig) -> None:
    for attention in (DenseAttentionConfig(), AlternatingAttentionConfig()):
        least, real = sum(least_parameters(model, attention, 500).values()), parameters(model, attention, 500)
        assert 0.4 * real < least <= real


def test_memory_bound_counts_only_certain_copies() -> None:
    assert training_copies(LMConfig(), AdamWConfig(), average=False) == 4
    assert training_copies(LMConfig(), MuonConfig(), average=True) == 4
    assert training_copies(ProbeConfig(), AdamWConfig(), average=False) == 1  # a frozen model
    assert least_vocabulary(GPT2TokenizerConfig()) == 50_257
    assert least_vocabulary(BPETokenizerConfig(size=10_000_000)) == 1  # a short text yields fewer ids


@pytest.mark.parametrize(
    "paper", [f"+{group}={option}" for group, options in papers().items() for option in options if group != "shrink"]
)
def test_every_shrunken_paper_fits_into_memory(paper: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_memory, "machine_memory", lambda: 3e8)
    words = [paper, "+shrink=tiny"] if paper != "+speedrun=shakespeare_char" else [paper, "data=sotu"]
    run = gptkit.compose("train", [*words, "init_from=null", "trainer.accelerator=cpu"])
    assert isinstance(run.settings, RunConfig)
    check_training_fits(run.settings, run.settings.trainer)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ("model.width=999936", "model.layers=10000"),
            "model.layers=10000 model.width=999936: a model of at least 1.2e+17 parameters",
        ),
        (("model.context=100000000", "model.width=100032", "batch.size=1"), "model.context=100000000 model.width=100032"),
        (("model=lstm", "model.units=1000000"), "lower model.layers or model.units"),
        (
            ("batch.size=1000000", "model.context=1000000"),
            "batch.size=1000000: batches of that many sequences of model.context=1000000",
        ),
        (("+gpt3=175b",), "(weights, gradients and the optimizer's state)"),
    ],
)
def test_training_rejects_sizes_before_reading_data(
    words: tuple[str, ...], reason: str, gptkit_command: GptkitCommand, in_folder: Path
) -> None:
    outcome = gptkit_command("train", *words, "data=text", "data.path=nowhere.txt", "trainer.accelerator=cpu", "hydra.run.dir=run")
    assert outcome.status == 2
    assert reason in outcome.error_line
    assert not (in_folder / "run").exists()


def test_more_devices_hold_larger_models_only_with_sharding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_memory, "machine_memory", lambda: 1e9)
    run = gptkit.compose("train", ["model.layers=40", "model.width=768", "trainer.accelerator=cpu"])
    settings: Any = run.settings
    with pytest.raises(ConfigError, match="this machine has 1 GB"):
        check_training_fits(settings, {"accelerator": "cpu", "strategy": "ddp", "num_nodes": 8})
    check_training_fits(settings, {"accelerator": "cpu", "strategy": "fsdp2", "num_nodes": 8})
    check_training_fits(settings, {"accelerator": "cpu", "strategy": "deepspeed"})  # the strategy may offload weights
    check_training_fits(settings, {"accelerator": "tpu"})


def test_checkpoint_too_large_for_memory_is_rejected_before_building(
    gptkit_command: GptkitCommand, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_folder / "x.txt").write_text("To be, or not to be, that is the question.\n" * 30)
    words = ("data=text", "data.path=x.txt", "tokenizer=bytes", "+shrink=tiny", "trainer=cpu", "trainer.max_steps=1")
    assert gptkit_command("train", *words, "hydra.run.dir=run").status == 0
    monkeypatch.setattr(device_memory, "machine_memory", lambda: 1e4)
    outcome = gptkit_command("generate", "checkpoint=run")
    assert outcome.status == 2
    assert "(weights), and this machine has 0 GB; lower model." in outcome.error_line


def test_out_of_memory_during_a_run_is_reported_in_one_line(gptkit_command: GptkitCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    from gptkit.config import hydra_run

    def fail(words: list[str]) -> int:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    monkeypatch.setattr(hydra_run, "run_through_hydra", fail)
    outcome = gptkit_command("generate", "checkpoint=x")
    assert (outcome.status, "out of memory" in outcome.error_line) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ("+gpt3=175b",),
        ("model.width=1048576", "model.heads=1", "model.layers=10000", "model.context=100000000", "batch.size=1048576"),
        (f"tokens={10**18}", "devices=1048576", "tokenizer.size=10000000", "trainer.strategy=fsdp2"),
    ],
)
def test_plan_shows_any_size(words: tuple[str, ...], gptkit_command: GptkitCommand) -> None:
    outcome = gptkit_command("plan", *words, "device=h100", "data=sotu")
    assert (outcome.status, outcome.err) == (0, "")
    assert "parameters" in outcome.out
