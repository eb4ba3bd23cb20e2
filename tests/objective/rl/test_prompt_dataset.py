"""Prompts of a policy: which are left out, and the warnings about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from gptkit.errors import DataError
from gptkit.records import Prompt, Turn
from gptkit.reward import RulesRewardConfig
from gptkit.reward.base import Reward
from tests.objective.rl.tiny_ppo import roll


class Terse(Reward):
    """Accepts prompts of at most three letters."""

    rejection_message = ("have more than three letters", "write fewer")

    def accepts(self, prompt: Prompt) -> bool:
        return len(prompt.turns[-1].text) <= 3

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        assert all(map(self.accepts, prompts))
        return torch.zeros(len(responses))


def test_prompts_without_room_are_left_out_and_counted(ppo: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    prompts = [Prompt((Turn("user", "x" * (20 if number % 4 == 0 else 3)),)) for number in range(40)]
    objective, _ = ppo(prompts=prompts)
    assert "of the train split are longer than 15 tokens" in caplog.text
    assert all(len(ids) == 3 for ids in objective.prompt_datasets["train"].ids)


def test_prompts_that_the_reward_does_not_accept_are_left_out_and_counted(
    ppo: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    prompts = [Prompt((Turn("user", "x" * (5 if number % 4 == 0 else 3)),)) for number in range(40)]
    objective, model = ppo(Terse(), prompts=prompts)
    assert "of the train split have more than three letters, and are left out" in caplog.text
    assert {len(ids) for dataset in objective.prompt_datasets.values() for ids in dataset.ids} == {3}
    roll(objective, model)
    with pytest.raises(DataError, match=r"all 32 prompts of the train split have more than three letters; write fewer"):
        ppo(Terse(), prompts=[Prompt((Turn("user", "xxxx"),))] * 40)


def test_duplicate_prompts_are_counted(ppo: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    ppo(prompts=[Prompt((Turn("user", f"a{number}"),)) for number in range(40)])
    assert "duplicates" not in caplog.text
    ppo(prompts=[Prompt((Turn("user", "ab"),))] * 40)
    assert "31 of 32 training prompts are duplicates, and 8 of 8 held-out prompts also occur in training" in caplog.text


def test_prompts_without_the_fact_that_the_reward_reads_are_left_out_and_counted(
    ppo: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    judge = RulesRewardConfig(answer=1.0, fact="capital").build(load=lambda source: pytest.fail("nothing is loaded"))
    prompts = [Prompt((Turn("user", "ab"),), {"capital": " " if number % 4 == 0 else "Paris"}) for number in range(40)]
    objective, model = ppo(judge, prompts=prompts)
    assert "9 of 32 prompts of the train split have no text in their fact 'capital'" in caplog.text
    roll(objective, model, 24)
    with pytest.raises(DataError, match=r"all 32 prompts of the train split have no text in their fact 'capital'.* reward\.fact"):
        ppo(judge)
