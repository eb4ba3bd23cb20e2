"""A tiny policy and its PPO objective at the start of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptkit.objective import PPOConfig
from gptkit.records import Prompt
from gptkit.reward.base import Reward
from gptkit.tokenizer import BytesTokenizerConfig
from tests.objective.rl.tiny_ppo import CONTEXT, MAX_NEW_TOKENS, PROMPTS, Vowels


@pytest.fixture
def ppo(source: Any, model_of: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """`ppo(reward, **settings)`: returns objective and policy at the start of a run."""
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog\n" * 200, encoding="utf-8")

    def built(reward: Reward | None = None, *, prompts: list[Prompt] = PROMPTS, dropout: float = 0.0, **settings: Any) -> Any:
        settings = {
            "max_new_tokens": MAX_NEW_TOKENS,
            "missing_end_of_text": None,
            "ptx_data": {"name": "text", "path": str(text)},
            **settings,
        }
        objective = PPOConfig(**settings).build(tokenizer=BytesTokenizerConfig().build(texts=[]), context=CONTEXT, width=16)
        objective.use_reward(reward or Vowels())
        objective.datasets(source(prompts), validation_fraction=0.2)
        model = model_of(objective, dropout=dropout)
        objective.start(model)
        objective.freeze(model)
        return objective, model

    return built
