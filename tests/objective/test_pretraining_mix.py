"""Pre-training text that is mixed in: any share of it is spread over the whole text."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gptkit.data.dataset import Batch, Dataset
from gptkit.objective.pretraining_mix import (
    MAX_STRIDE_OFFSET,
    PretrainingMixDataset,
    SpreadWindowDataset,
    golden_stride,
    text_windows,
)
from gptkit.objective.rl import PPOConfig
from gptkit.plugins import registry
from gptkit.records import Prompt, Turn
from gptkit.reward.base import Reward
from gptkit.tokenizer.bytes import BytesTokenizer

SIZES = {"a": 40_000, "b": 12_000, "c": 6_000, "d": 2_000}
CONTEXT = 16


@pytest.fixture
def mixture(tmp_path: Path) -> dict[str, Any]:
    """Four sources of very different sizes, each of which repeats a different letter."""
    for letter, size in SIZES.items():
        (tmp_path / f"{letter}.txt").write_text(letter * size)
    return {"name": "mixture", "sources": {letter: {"name": "text", "path": str(tmp_path / f"{letter}.txt")} for letter in SIZES}}


@pytest.fixture
def ppo_ptx(source: Any) -> Callable[..., Any]:
    """`ppo_ptx(text, prompts=n)`: returns the objective with its data."""

    def built(text: dict[str, Any], *, prompts: int) -> Any:
        settings = PPOConfig(ptx_coef=1.0, ptx_ratio=2, ptx_data=text, max_new_tokens=4)
        objective = settings.build(tokenizer=BytesTokenizer(), context=CONTEXT, width=8)
        objective.use_reward(Indifferent())
        prompt_records = [Prompt((Turn("user", str(number)),)) for number in range(prompts)]
        objective.datasets(source(prompt_records), validation_fraction=0.25)
        return objective

    return built


class Indifferent(Reward):
    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> torch.Tensor:
        return torch.zeros(len(responses))


def shares(tokens: torch.Tensor) -> dict[str, float]:
    return {letter: float((tokens == ord(letter)).float().mean()) for letter in SIZES}


def assert_shares_are_those_of_the_sizes(tokens: torch.Tensor) -> None:
    total = sum(SIZES.values())
    assert shares(tokens) == pytest.approx({letter: size / total for letter, size in SIZES.items()}, abs=0.03)


@pytest.mark.parametrize("items", [*range(1, 200), 918, 1110, 4096, 9973])
def test_a_stride_visits_every_item_once_and_evenly(items: int) -> None:
    stride = golden_stride(items)
    assert abs(stride - 0.618034 * items) <= MAX_STRIDE_OFFSET + 1 and math.gcd(stride, items) == 1
    order, index = [], 0
    for _ in range(items):  # a slow version: step by step around the ring
        order.append(index)
        index = (index + stride) % items
    assert sorted(order) == list(range(items))
    for begin in (0, items // 3):
        visited = np.zeros(items)
        for count in range(1, items + 1):
            visited[order[(begin + count - 1) % items]] = 1
            if count in (5, 20, 50, items // 10, items // 2):
                for part in np.array_split(visited, min(8, items)):
                    assert abs(part.sum() - count * len(part) / items) < 4


def test_every_epoch_has_new_windows_in_spread_order() -> None:
    class Numbers(Dataset):
        def __len__(self) -> int:
            return 21

        def batch(self, indices: Sequence[int]) -> Batch:
            return {"tokens": torch.tensor(list(indices))}

    spread = SpreadWindowDataset(Numbers())
    for epoch in range(3):
        result = spread.batch(range(epoch * 21, epoch * 21 + 21))["tokens"].tolist()
        assert sorted(result) == list(range(epoch * 21, epoch * 21 + 21)) != result
        assert all((second - first) % 21 == golden_stride(21) for first, second in pairwise(result))


def test_text_mixed_into_demonstrations_is_proportional_to_the_sources(mixture: dict[str, Any]) -> None:
    windows, _ = text_windows(
        registry().resolve("data", mixture), BytesTokenizer(), CONTEXT, key="objective.pretraining_data", validation_fraction=0.05
    )
    assert set(windows) == {"train"}
    mixed = PretrainingMixDataset(windows["train"], windows["train"], 0.02)  # 2% of an epoch: about 70 windows
    for epoch in range(3):
        first = epoch * len(mixed)
        batch = mixed.batch(range(first + len(windows["train"]), first + len(mixed)))
        assert_shares_are_those_of_the_sizes(batch["tokens"])


def test_pretraining_text_of_ppo_is_proportional_to_the_sources(ppo_ptx: Callable[..., Any], mixture: dict[str, Any]) -> None:
    objective = ppo_ptx(mixture, prompts=160)
    prompts, held_out = len(objective.prompt_datasets["train"]), len(objective.prompt_datasets["validation"])
    assert (prompts, held_out) == (120, 40)
    read = [objective.windows(list(range(epoch * prompts, (epoch + 1) * prompts))) for epoch in range(2)]
    assert len(set(read[0] + read[1])) == 2 * 2 * prompts
    for windows in read:
        assert_shares_are_those_of_the_sizes(objective._text["train"].batch(windows)["tokens"])
    measured = objective.held_out_windows(list(range(held_out)))
    assert_shares_are_those_of_the_sizes(objective._text["validation"].batch(measured)["tokens"])


def test_mixed_in_windows_contain_no_held_out_text(tmp_path: Path) -> None:
    """The held-out part of every source is its last part, which consists of capital letters."""
    for letter in "abcd":
        (tmp_path / f"{letter}.txt").write_text(letter * 900 + letter.upper() * 100)
    sources = {letter: {"name": "text", "path": str(tmp_path / f"{letter}.txt")} for letter in "abcd"}
    source = {"name": "mixture", "sources": sources}
    windows, _ = text_windows(
        registry().resolve("data", source),
        BytesTokenizer(),
        CONTEXT,
        key="objective.ptx_data",
        validation_fraction=0.1,
        with_validation=True,
    )
    read = {split: dataset.batch(range(3 * len(dataset)))["tokens"].unique().tolist() for split, dataset in windows.items()}
    assert {split: "".join(map(chr, tokens)) for split, tokens in read.items()} == {"train": "abcd", "validation": "ABCD"}
