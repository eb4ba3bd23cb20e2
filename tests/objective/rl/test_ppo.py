"""PPO and PPO-ptx: rejected settings, the largest batches, and the metric that ranks checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from gptkit.errors import ConfigError, DataError, GptkitError
from gptkit.objective import PPOConfig
from gptkit.records import Prompt, Turn
from gptkit.tokenizer import BytesTokenizerConfig, CharTokenizerConfig
from gptkit.training.step import combine_terms
from tests.objective.rl.tiny_ppo import CONTEXT, MAX_NEW_TOKENS, PROMPTS, Vowels, reward_model, roll


def test_an_error_in_the_pretraining_data_names_its_key(ppo: Callable[..., Any]) -> None:
    with pytest.raises(GptkitError, match=r"^objective\.ptx_data: data\.path=nowhere\.txt: there is no such file"):
        ppo(ptx_coef=1.0, ptx_data={"name": "text", "path": "nowhere.txt"})
    with pytest.raises(GptkitError, match=r"^objective\.ptx_data: there is no data=sotuu\. Did you mean"):
        ppo(ptx_coef=1.0, ptx_data={"name": "sotuu"})


def test_kl_settings_that_cannot_adapt_raise(ppo: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"objective\.kl_target=5\.0 has no effect, since objective\.kl_coef=0"):
        PPOConfig(kl_target=5.0, kl_coef=0.0)
    objective, model = ppo(kl_target=5.0, kl_horizon=15)
    with pytest.raises(ConfigError, match=r"objective\.kl_horizon=15 is less than .* batch\.size=16"):
        roll(objective, model, 16)


def test_the_largest_minibatch_has_episodes_and_pretraining_text(ppo: Callable[..., Any]) -> None:
    """Both batches of an update in their largest size: two models read episodes, and text has the most logits."""
    objective, model = ppo(ptx_coef=1.0)
    tried = objective.largest_minibatch(objective.prompt_datasets["train"].batch(range(4)))
    assert set(tried) == {"ppo", "ptx"}
    for batch in tried.values():
        assert batch["tokens"].shape == (4, CONTEXT)
        assert combine_terms(objective.loss(model, batch)[0], objective.counts(batch)).isfinite()
    assert set(ppo(ptx_coef=0.0)[0].largest_minibatch(objective.prompt_datasets["train"].batch(range(4)))) == {"ppo"}


def test_the_validation_loss_does_not_depend_on_the_adapted_kl_coef(ppo: Callable[..., Any]) -> None:
    objective, model = ppo(kl_target=1.0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    batch = objective.prompt_datasets["validation"].batch(range(4))
    before = objective.validate(model, batch, seed=0)[0]["objective"][1]
    objective.kl_coef.fill_(5.0)
    assert torch.equal(objective.validate(model, batch, seed=0)[0]["objective"][1], before)


def test_reward_and_pretraining_data_have_fingerprints(ppo: Callable[..., Any]) -> None:
    first, second = Vowels(), Vowels()
    first.fingerprint, second.fingerprint = "these weights", "other weights"
    one, other = ppo(first, ptx_coef=1.0)[0].sources, ppo(second, ptx_coef=1.0)[0].sources
    assert one["reward"] != other["reward"]
    assert one["objective.ptx_data"] == other["objective.ptx_data"]
    assert len(one["objective.ptx_data"]) == 64


def test_incompatible_settings_raise(ppo: Callable[..., Any], source: Any) -> None:
    tokenizer = BytesTokenizerConfig().build(texts=[])
    lone = PPOConfig(max_new_tokens=MAX_NEW_TOKENS).build(tokenizer=tokenizer, context=CONTEXT, width=16)
    with pytest.raises(ConfigError, match="reward="):
        lone.datasets(source(PROMPTS), validation_fraction=0.0)
    with pytest.raises(DataError, match=r"all 32 prompts of the train split are longer than 15 tokens"):
        ppo(prompts=[Prompt((Turn("user", "x" * 30),))] * 40)
    with pytest.raises(ConfigError, match="value_from"):
        ppo(value_from="reward")
    with pytest.raises(ConfigError, match="tokenizer"):
        ppo(reward_model(tokenizer=CharTokenizerConfig().build(texts=iter(["abc"]))))
    with pytest.raises(ConfigError, match="context of 12"):
        ppo(reward_model(12))
    with pytest.raises(ConfigError, match="minibatch=5"):
        roll(*ppo(minibatch=5))
