"""Settings that are checked or chosen before a run starts: Trainer arguments, run length, precision and micro-batches."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from gptkit.command import TrainCommand
from gptkit.errors import ConfigError
from gptkit.model import GPTConfig
from gptkit.run_config import BatchConfig
from gptkit.scaling.memory_estimate import activation_bytes_upper_bound
from gptkit.training import precision
from gptkit.training.auto_micro_batch import (
    TOKENS_PER_PASS,
    available_memory,
    estimate_micro_batch_size,
    largest_that_fits,
)
from gptkit.training.duration import run_length
from gptkit.training.trainer_arguments import REPLACED_BY, check_trainer_arguments


def test_valid_arguments_are_passed_unchanged() -> None:
    arguments = {"accelerator": "cpu", "devices": 1, "max_steps": 9, "max_time": None, "log_every_n_steps": 5}
    assert check_trainer_arguments(arguments) == {"accelerator": "cpu", "devices": 1, "log_every_n_steps": 5}


def test_unknown_argument_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.precison: .* no such argument\. Did you mean precision\?"):
        check_trainer_arguments({"precison": "auto"})


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("gradient_clip_val", 1.0, r"optimizer\.clip"),
        ("accumulate_grad_batches", 4, r"batch\.micro"),
        ("max_epochs", 3, "tokens"),
        ("val_check_interval", 100, r"val\.every"),
        ("logger", True, "logger=csv"),
        ("callbacks", [], r"\+callback@callback"),
    ],
)
def test_replaced_argument_names_the_key_to_use(name: str, value: Any, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"trainer\.{name} cannot be set: .*{key}"):
        check_trainer_arguments({name: value})


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("log_every_n_steps", "banana", "must be a whole number"),
        ("log_every_n_steps", 0, "must be at least 1"),
        ("num_nodes", 0, "must be at least 1"),
        ("devices", 1.5, "must be a list of whole numbers or text or a whole number"),
        ("devices", [True], "must be a list of whole numbers"),
        ("detect_anomaly", "banana", "must be true or false"),
        ("deterministic", "banana", "must be true or false or warn"),
        ("max_time", 5, "write days:hours:minutes:seconds"),
        ("default_root_dir", 5, "must be text"),
        ("precision", "b16-mixed", "Did you mean bf16-mixed?"),
    ],
)
def test_value_of_another_type_is_rejected(name: str, value: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"trainer\.{name}={re.escape(str(value))}.*{re.escape(reason)}"):
        check_trainer_arguments({name: value})


@pytest.mark.parametrize(
    "word",
    [
        *("trainer.accelerator=banana", "trainer.accelerator=tpu", "trainer.strategy=banana", "trainer.strategy=fsdp"),
        *("trainer.strategy=ddp_spawn", "trainer.devices=0", "trainer.devices=-5", "trainer.devices=banana"),
        *("trainer.devices=100000", "trainer.max_time=banana", "trainer.profiler=banana", "trainer.profiler=xla"),
        *("trainer.num_nodes=2", "trainer.enable_progress_bar=banana", "trainer.precision=banana"),
    ],
)
def test_argument_rejected_by_lightning_is_reported_before_reading_data(
    word: str, gptkit_command: Any, in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    ended = gptkit_command("train", "data=text", "data.path=no_such_file", "trainer.accelerator=cpu", "hydra.run.dir=run", word)
    assert ended.status == 2
    assert word in ended.error_line
    assert "no_such_file" not in ended.error_line
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trainer.devices=2", "batch.size=3"], "batch.size=3 is not divisible by the 2 devices"),
        (["trainer.accelerator=banana", "trainer.devices=0"], "trainer.accelerator=banana: "),
        (["trainer.profiler=pytorch", "trainer.default_root_dir=a_file.txt/x"], "trainer.default_root_dir=a_file.txt/x: "),
    ],
)
def test_contradicting_arguments_are_reported_before_reading_data(
    words: list[str], said: str, gptkit_command: Any, in_folder: Path
) -> None:
    Path("a_file.txt").touch()
    ended = gptkit_command("train", "data=text", "data.path=absent", "trainer.accelerator=cpu", "hydra.run.dir=run", *words)
    assert ended.status == 2
    assert said in ended.error_line
    assert not Path("run").exists()


def test_every_replaced_argument_exists_in_lightning() -> None:
    import inspect

    import lightning

    assert set(REPLACED_BY) <= set(inspect.signature(lightning.Trainer).parameters)


def settings(tokens: int = 1000, **trainer: Any) -> TrainCommand:
    return TrainCommand(model=GPTConfig(context=10), batch=BatchConfig(size=3), tokens=tokens, trainer=trainer)


@pytest.mark.parametrize(
    ("run_settings", "expected"),
    [(settings(), (34, 1000)), (settings(30), (1, 30)), (settings(max_steps=7), (7, 210)), (settings(max_steps=None), (34, 1000))],
)
def test_run_length_is_tokens_or_max_steps(run_settings: TrainCommand, expected: tuple[int, int]) -> None:
    assert run_length(run_settings) == expected


@pytest.mark.parametrize("wrong", [0, -5, 1e6, True, "ten"])
def test_invalid_max_steps_is_rejected(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.max_steps="):
        run_length(settings(max_steps=wrong))


@pytest.mark.parametrize(("has_bfloat16", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_cpu_defaults_to_bfloat16_if_supported(has_bfloat16: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_bfloat16)
    assert precision.choose_precision("cpu") == expected


@pytest.mark.parametrize(("capability", "expected"), [((7, 0), "16-mixed"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")])
def test_cuda_defaults_to_bfloat16_since_ampere(
    capability: tuple[int, int], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert precision.choose_precision("gpu") == precision.choose_precision("auto") == expected


def test_micro_batch_halves_until_it_fits() -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= 3

    assert largest_that_fits(24, fits) == 3
    assert tried == [24, 12, 6, 3]
    assert largest_that_fits(5, lambda size: False) == 1


def test_micro_batch_estimate_is_bounded_by_memory_batch_size_and_tokens() -> None:
    model = GPTConfig(layers=4, heads=4, width=128, context=64)
    plenty = 1 << 40
    assert estimate_micro_batch_size(model, vocabulary=65, parameters=0, free_bytes=plenty, device_batch_size=12) == 12
    assert (
        estimate_micro_batch_size(model, vocabulary=65, parameters=0, free_bytes=plenty, device_batch_size=100_000)
        == TOKENS_PER_PASS // 64
    )
    assert (
        estimate_micro_batch_size(
            model,
            vocabulary=65,
            parameters=0,
            free_bytes=10 * activation_bytes_upper_bound(model, vocabulary=65),
            device_batch_size=12,
        )
        == 5
    )
    assert (
        estimate_micro_batch_size(
            model,
            vocabulary=65,
            parameters=0,
            free_bytes=10 * activation_bytes_upper_bound(model, vocabulary=65),
            device_batch_size=12,
            sequences_per_item=2,
        )
        == 2
    )
    assert estimate_micro_batch_size(model, vocabulary=65, parameters=10**9, free_bytes=10**6, device_batch_size=12) == 1
    assert available_memory() > 0
