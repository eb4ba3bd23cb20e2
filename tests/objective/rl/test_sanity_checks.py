"""The sanity checks of PPO and GRPO find planted errors, and accept a correct run."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gptkit.attention import DenseAttentionConfig
from gptkit.errors import GptkitError
from gptkit.generation.sampling import sample
from gptkit.model import GPTConfig
from gptkit.model.base import Model
from gptkit.objective import GRPOConfig, PPOConfig
from gptkit.objective.rl import base, grpo, ppo, rollout, sanity_checks
from gptkit.objective.rl.base import ReinforcementLearning
from gptkit.objective.rl.ppo import PPO
from gptkit.objective.rl.rollout import Rollout
from gptkit.objective.rl.sanity_checks import MIN_REPRODUCED, expected_endings, reproduced_fraction
from gptkit.records import Prompt, Turn
from gptkit.reward.base import Reward
from gptkit.tokenizer import BytesTokenizerConfig

REAL = rollout.response_log_probs
PROMPTS = [Prompt((Turn("user", "ab" * (1 + number % 3)),)) for number in range(20)]


class Length(Reward):
    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        return torch.tensor([float(len(text)) for text in responses])


class Ranked(Length):
    """Scores a response relative to the others in its batch."""

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        return super().__call__(prompts, responses) + torch.arange(len(responses))


class Hotter(PPO):
    """Samples at another temperature than the one in training."""

    def generate_responses(self, model: Model, split: str, items: Sequence[int], *, seed: int, samples: int = 1) -> Rollout:
        expected, self.settings.temperature = self.settings.temperature, 3.0
        try:
            return super().generate_responses(model, split, items, seed=seed, samples=samples)
        finally:
            self.settings.temperature = expected


class Restless(nn.Dropout):
    """Dropout that evaluation mode does not turn off."""

    def forward(self, tensor: Tensor) -> Tensor:
        return nn.functional.dropout(tensor, 0.3, training=True)


@pytest.fixture
def start(source: Any) -> Callable[..., Any]:
    """`start(reward, kind, before, after, **settings)`: the first rollout of a run.

    `before` and `after` change the model before and after the reference is copied.
    """

    def run(
        reward: Reward | None = None,
        *,
        part: Callable[..., Any] = PPOConfig,
        kind: type[ReinforcementLearning] | None = None,
        before: Callable[[Any], None] = lambda model: None,
        after: Callable[[Any], None] = lambda model: None,
        **settings: Any,
    ) -> Any:
        chosen = part(**{"max_new_tokens": 8, "missing_end_of_text": None, **settings})
        tokenizer = BytesTokenizerConfig().build(texts=[])
        objective: Any = (
            kind(chosen, tokenizer=tokenizer, context=24) if kind else chosen.build(tokenizer=tokenizer, context=24, width=16)
        )
        objective.use_reward(reward or Length())
        objective.datasets(source(PROMPTS), validation_fraction=0.0)
        torch.manual_seed(2)
        model = GPTConfig(layers=2, heads=2, width=16, context=24).build(
            attention=DenseAttentionConfig(), vocabulary=tokenizer.size
        )
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(10)
        before(model)
        objective.start(model)
        after(model)
        objective.freeze(model)
        return list(
            objective.rollout(model, objective.prompt_datasets["train"].batch(range(8)), seed=1, total=lambda tensor: tensor)
        )

    return run


@pytest.mark.parametrize("part", [PPOConfig, GRPOConfig])
def test_a_healthy_run_passes(start: Callable[..., Any], part: Any) -> None:
    assert start(part=part)
    assert start(part=part, temperature=0.7)
    assert start(part=part, missing_end_of_text=-1.0)
    assert start(part=part, minibatch=2, inner_epochs=2)


def half(model: Any, batch: Any, temperature: float) -> Any:
    return REAL(model, batch, temperature / 2)


def one_place_late(model: Any, batch: Any) -> Tensor:
    rows, places = rollout.response_positions(batch)
    hidden: Tensor = model(batch["tokens"])[rows, places]
    return hidden


@pytest.mark.parametrize("part", [PPOConfig, GRPOConfig])
def test_another_temperature_in_rollout_and_loss_is_detected(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, part: Any
) -> None:
    for reader in (rollout, ppo, grpo, base, sanity_checks):
        monkeypatch.setattr(reader, "response_log_probs", half)
    with pytest.raises(GptkitError, match="the log-probabilities in training differ"):
        start(part=part)


@pytest.mark.parametrize(("part", "reader"), [(PPOConfig, ppo), (GRPOConfig, grpo)])
def test_another_temperature_in_the_loss_is_detected(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, part: Any, reader: Any
) -> None:
    monkeypatch.setattr(reader, "response_log_probs", half)
    with pytest.raises(GptkitError, match="the loss reports that the policy has changed"):
        start(part=part)


@pytest.mark.parametrize("part", [PPOConfig, GRPOConfig])
def test_log_probabilities_of_another_position_are_detected(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, part: Any
) -> None:
    monkeypatch.setattr(rollout, "response_hidden_states", one_place_late)
    with pytest.raises(GptkitError, match="the log-probabilities in training differ"):
        start(part=part)


def test_the_loss_is_checked_once_without_side_effects(start: Callable[..., Any]) -> None:
    seen: list[bool] = []

    class Watched(PPO):
        def loss(self, model: Model, batch: Any) -> Any:
            seen.append(torch.is_grad_enabled())
            return super().loss(model, batch)

    def state_after(**settings: Any) -> Tensor:
        start(kind=Watched, minibatch=2, **settings)
        return torch.get_rng_state()

    assert torch.equal(state_after(), state_after(sanity_checks=False))
    assert seen == [False]


def make_restless(model: Any) -> None:
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.LayerNorm):
                setattr(module, name, nn.Sequential(child, Restless()))


def test_randomness_in_evaluation_mode_is_detected(start: Callable[..., Any]) -> None:
    with pytest.raises(GptkitError, match="the ratio of new to old probabilities must be 1"):
        start(before=make_restless)


def test_a_reference_that_differs_from_the_policy_is_detected(start: Callable[..., Any]) -> None:
    def move(model: Any) -> None:
        with torch.no_grad():
            next(iter(model.parameters())).add_(torch.randn_like(next(iter(model.parameters()))))

    with pytest.raises(GptkitError, match="differs from its reference"):
        start(after=move)


def test_sampling_at_another_temperature_is_detected(start: Callable[..., Any]) -> None:
    with pytest.raises(GptkitError, match="different logits or temperatures"):
        start(kind=Hotter)


def test_bfloat16_rounding_is_not_taken_for_another_temperature() -> None:
    random = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(500, 4096, generator=random)
    numbers = torch.rand(500, generator=random, dtype=torch.float64)
    sampled = sample(logits, numbers, temperature=1.0)
    rounded = logits.bfloat16().float()
    assert (
        float((sample(rounded, numbers, temperature=1.0) == sampled).float().mean()) < MIN_REPRODUCED
    )  # rounding changes some tokens to neighbouring ones
    assert reproduced_fraction(rounded, sampled, numbers, temperature=1.0) == 1.0
    assert reproduced_fraction(rounded, sampled, numbers, temperature=0.8) < MIN_REPRODUCED
    assert reproduced_fraction(rounded.roll(1, 0), sampled, numbers, temperature=1.0) < MIN_REPRODUCED  # logits of another position


def test_a_score_that_depends_on_the_batch_is_detected(start: Callable[..., Any]) -> None:
    with pytest.raises(GptkitError, match=r"in a batch and .* alone"):
        start(Ranked())


def ending(chance: float) -> Callable[[Any], None]:
    """Give end-of-text this probability at every position."""

    def plant(model: Any) -> None:
        own, end = model.logits, BytesTokenizerConfig().build(texts=[]).special["end_of_text"]

        def logits(hidden: Tensor) -> Tensor:
            result = own(hidden).index_fill(-1, torch.tensor([end]), -torch.inf)
            logit = result.logsumexp(dim=-1) + math.log(chance / (1 - chance))
            return result.index_copy(-1, torch.tensor([end]), logit[..., None])

        model.logits = logits

    return plant


mute = ending(1e-30)


def test_a_policy_that_cannot_end_is_detected(start: Callable[..., Any]) -> None:
    with pytest.raises(GptkitError, match="none of 8 responses ended"):
        start(before=mute, missing_end_of_text=-1.0)


def test_a_policy_that_almost_never_ends_raises_or_warns(start: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """The expected numbers are those of 8 responses of 8 tokens."""
    with pytest.raises(GptkitError, match=r"the expected number in a step is 0\.0006, so all scores are"):
        start(before=ending(1e-5), missing_end_of_text=-1.0)
    assert start(before=ending(1e-5))  # the reward scores unfinished responses
    with caplog.at_level(logging.WARNING, logger="gptkit"):
        start(before=ending(1e-3), missing_end_of_text=-1.0)
    assert "the expected number in a step is 0.06" in caplog.text
    assert expected_endings(torch.tensor([[0.5, 0.5], [0.1, 0.0]])) == pytest.approx(0.75 + 0.1)


def test_a_resumed_run_may_have_a_policy_that_does_not_end(start: Callable[..., Any]) -> None:
    """Uninterrupted, the run would train without the check, so resuming it does not check either."""

    class Continued(PPO):
        def start(self, model: Model) -> None:
            super().start(model)
            self.policy_is_reference = False

    assert start(before=mute, kind=Continued, missing_end_of_text=-1.0)


def test_without_the_sanity_checks_the_run_warns(start: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="gptkit"):
        start(Ranked(), sanity_checks=False)
    assert "are not checked for consistency" in caplog.text
