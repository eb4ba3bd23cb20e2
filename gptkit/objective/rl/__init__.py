"""Configs of the reinforcement learning objectives: PPO and GRPO."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from gptkit.constraints import CONTEXT, LEARNING_RATE, SCORE, SEQUENCES, above, at_least, at_most, one_of
from gptkit.objective.config import DialogueObjectiveConfig
from gptkit.plugins import registry
from gptkit.records import Prompt

if TYPE_CHECKING:
    from gptkit.objective.base import Objective
    from gptkit.reward import RewardConfig
    from gptkit.tokenizer.base import Tokenizer


@dataclass
class ReinforcementLearningConfig(DialogueObjectiveConfig):
    """Base of the configs of objectives that learn from scored responses to prompts. Not a part itself.

    An item of a batch is one prompt; an episode is one response to it.
    """

    record: ClassVar[type] = Prompt
    begins_trained: ClassVar[bool] = True
    frozen_models: ClassVar[tuple[str, ...]] = ("reference", "reward")

    max_new_tokens: Annotated[
        int,
        "longest response, at most half the context; prompts that leave no room for it are dropped",
        at_least(1),
        at_most(CONTEXT),
    ] = 64
    temperature: Annotated[float, "of sampling and of every log-probability", at_least(0.001), at_most(SCORE)] = 1.0
    minibatch: Annotated[
        int | None, "items per update, over all devices; must divide batch.size; null: all", at_least(1), at_most(SEQUENCES)
    ] = None
    inner_epochs: Annotated[int, "how often the minibatches of a step are gone through", at_least(1), at_most(1000)] = 1
    clip: Annotated[float, "how far the ratio of new to old probability counts beyond 1", above(0), at_most(SCORE)] = 0.2
    kl_coef: Annotated[float, "weight of the divergence from the model with which training began", at_least(0), at_most(SCORE)] = (
        0.02
    )
    missing_end_of_text: Annotated[
        float | None,
        "score of a response that does not end, in place of the judge's; null: the judge's",
        at_least(-SCORE),
        at_most(SCORE),
    ] = -1.0
    judge: Annotated[
        dict[str, Any],
        "an independent judge: the settings of a reward, with its `name`; measured at validations, never learned from",
    ] = field(default_factory=dict)
    sanity_checks: Annotated[bool, "check at the start that sampling, scoring and training agree"] = True

    def judge_config(self) -> RewardConfig | None:
        """The settings of the independent judge; None: there is none.

        Raises:
            ConfigError: `judge` holds no reward.
        """
        judge: RewardConfig | None = registry().resolve("reward", self.judge, path="objective.judge") if self.judge else None
        return judge

    def passes(self) -> dict[str, float]:
        """Every episode as long as the context; read by policy, reference and reward after it was drawn."""
        return {"generate": 1.0, "score": 3.0, self.name: 3.0 * self.inner_epochs}


@dataclass
class PPOConfig(ReinforcementLearningConfig):
    """Proximal policy optimisation against a reward, held to its start by a divergence, with pre-training mixed in (PPO-ptx).

    Source: "Training language models to follow instructions with human feedback", section 3.5, equation 2, and appendix C.4; what
    it does not publish (GAE's lambda, the value's loss and clipping) follows "Fine-Tuning Language Models from Human Preferences"
    and its code, but for whitening: advantages are whitened over a whole step, not a minibatch, and rewards only with
    `whiten_rewards`, which is on there. The value network is a model of its own that starts as the reward model where there is one.
    """

    trained_models: ClassVar[tuple[str, ...]] = ("value",)

    name: str = "ppo"
    kl_target: Annotated[float | None, "nats per response to which kl_coef adapts; null: it stays", above(0), at_most(SCORE)] = None
    kl_horizon: Annotated[int, "episodes in which it adapts", at_least(1)] = 10_000
    discount: Annotated[float, "gamma of the returns", at_least(0), at_most(1)] = 1.0
    gae_lambda: Annotated[float, "of generalised advantage estimation", at_least(0), at_most(1)] = 0.95
    whiten_rewards: Annotated[bool, "divide rewards by their deviation, mean kept"] = False
    value_coef: Annotated[float, "weight of the value's loss", at_least(0), at_most(SCORE)] = 0.1
    value_clip: Annotated[float, "how far a value counts beyond the one before the update", at_least(0), at_most(SCORE)] = 0.2
    value_lr: Annotated[
        float | None,
        "learning rate of the value network, which no schedule moves; null: as the policy's",
        above(0),
        at_most(LEARNING_RATE),
    ] = None
    value_from: Annotated[
        str,
        "what the value network starts as: reward, policy, auto (the reward where it is a model)",
        one_of("auto", "reward", "policy"),
    ] = "auto"
    ptx_coef: Annotated[float, "gamma of the pre-training loss; 0: no pre-training text is read", at_least(0), at_most(SCORE)] = 0.0
    ptx_ratio: Annotated[int, "pre-training sequences per episode", at_least(1), at_most(SEQUENCES)] = 8
    ptx_data: Annotated[
        dict[str, Any],
        "the settings of the source of pre-training text, with its `name`; auto: what init_from was pre-trained on",
    ] = field(default_factory=lambda: {"name": "auto"})

    def __post_init__(self) -> None:
        if self.kl_target is not None and not self.kl_coef:
            raise ValueError(
                f"objective.kl_target={self.kl_target} has nothing to adapt: objective.kl_coef=0 stays 0; set it above 0, or "
                "objective.kl_target=null"
            )

    def mixes_in(self) -> str:
        return "ptx_data" if self.ptx_coef else ""

    def passes(self) -> dict[str, float]:
        """The value network reads every episode, too, and learns from it."""
        found = super().passes()
        found["score"] += 1.0
        found["ppo"] *= 2.0
        return found | ({"ptx": 3.0 * self.inner_epochs * self.ptx_ratio} if self.ptx_coef else {})

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.rl.ppo import PPO

        return PPO(
            self, tokenizer=tokenizer, context=context, judge=self.judge_config(), pretraining_source=self.pretraining_source()
        )


@dataclass
class GRPOConfig(ReinforcementLearningConfig):
    """Group-relative policy optimisation: several responses to each prompt, judged against one another; no value network.

    Source: "DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models", section 4.1, equations 3 and 4.
    """

    name: str = "grpo"
    kl_coef: Annotated[
        float, "weight of the divergence from the model with which training began, in the loss", at_least(0), at_most(SCORE)
    ] = 0.04
    group: Annotated[int, "responses to each prompt", at_least(2), at_most(SEQUENCES)] = 8

    def passes(self) -> dict[str, float]:
        return {stage: self.group * times for stage, times in super().passes().items()}

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.rl.grpo import GRPO

        return GRPO(self, tokenizer=tokenizer, context=context, judge=self.judge_config())
