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
    """Base class of the configs of objectives that learn from scored responses to prompts. Not a part itself.

    An item of a batch is one prompt; an episode is a prompt with one response.
    """

    record: ClassVar[type] = Prompt
    needs_trained_model: ClassVar[bool] = True
    frozen_models: ClassVar[tuple[str, ...]] = ("reference", "reward")

    max_new_tokens: Annotated[
        int,
        "maximum length of a response in tokens, at most half the context; prompts that leave no room for it are skipped",
        at_least(1),
        at_most(CONTEXT),
    ] = 64
    temperature: Annotated[float, "temperature of sampling and of all log-probabilities", at_least(0.001), at_most(SCORE)] = 1.0
    minibatch: Annotated[
        int | None,
        "prompts per update, over all devices; must divide batch.size; null: all",
        at_least(1),
        at_most(SEQUENCES),
    ] = None
    inner_epochs: Annotated[int, "passes over the minibatches of a step", at_least(1), at_most(1000)] = 1
    clip: Annotated[
        float, "epsilon: clip the ratio of new to old probability to 1 - epsilon, 1 + epsilon", above(0), at_most(SCORE)
    ] = 0.2
    kl_coef: Annotated[float, "weight of the KL divergence from the initial model", at_least(0), at_most(SCORE)] = 0.02
    missing_end_of_text: Annotated[
        float | None,
        "score of responses that do not end with end-of-text; null: the reward's score",
        at_least(-SCORE),
        at_most(SCORE),
    ] = -1.0
    judge: Annotated[
        dict[str, Any],
        "an independent judge: the settings of a reward, with its `name`; it scores only validations",
    ] = field(default_factory=dict)
    sanity_checks: Annotated[bool, "check in the first step that sampling, scoring and training are consistent"] = True

    def judge_config(self) -> RewardConfig | None:
        """The config of the independent judge, or None if there is none.

        Raises:
            ConfigError: `judge` holds no reward.
        """
        judge: RewardConfig | None = registry().resolve("reward", self.judge, path="objective.judge") if self.judge else None
        return judge

    def forward_passes(self) -> dict[str, float]:
        """Return the cost of a step, assuming episodes that fill the context; policy, reference and reward each read them once."""
        return {"generate": 1.0, "score": 3.0, self.name: 3.0 * self.inner_epochs}


@dataclass
class PPOConfig(ReinforcementLearningConfig):
    """Proximal policy optimisation of a reward with a KL penalty, optionally with the pre-training loss mixed in (PPO-ptx).

    Source: "Training language models to follow instructions with human feedback", section 3.5, equation 2, and appendix C.4.
    Details that it does not publish (GAE's lambda, the value loss and its clipping) follow "Fine-Tuning Language Models from Human
    Preferences" and its code, except for whitening: advantages are whitened over a whole step instead of a minibatch, and rewards
    only with `whiten_rewards`, which that code always does. The value network is a separate model, initialised from the reward
    model if there is one.
    """

    trained_models: ClassVar[tuple[str, ...]] = ("value",)

    name: str = "ppo"
    kl_target: Annotated[
        float | None, "adapt kl_coef to this divergence, in nats per response; null: constant", above(0), at_most(SCORE)
    ] = None
    kl_horizon: Annotated[int, "number of episodes over which kl_coef adapts; at least the episodes of a step", at_least(1)] = (
        10_000
    )
    discount: Annotated[float, "gamma, discount per token", at_least(0), at_most(1)] = 1.0
    gae_lambda: Annotated[float, "lambda of generalised advantage estimation", at_least(0), at_most(1)] = 0.95
    whiten_rewards: Annotated[bool, "scale rewards to variance 1 without shifting their mean"] = False
    value_coef: Annotated[float, "weight of the value loss", at_least(0), at_most(SCORE)] = 0.1
    value_clip: Annotated[
        float, "clip range of a value around its value before the update, in the value loss", at_least(0), at_most(SCORE)
    ] = 0.2
    value_lr: Annotated[
        float | None,
        "constant learning rate of the value network; null: the learning rate of the policy",
        above(0),
        at_most(LEARNING_RATE),
    ] = None
    value_from: Annotated[
        str,
        "initial weights of the value network: reward, policy, or auto (the reward if it is a model)",
        one_of("auto", "reward", "policy"),
    ] = "auto"
    ptx_coef: Annotated[
        float, "weight of the pre-training loss (gamma); 0: do not read pre-training text", at_least(0), at_most(SCORE)
    ] = 0.0
    ptx_ratio: Annotated[int, "pre-training sequences per episode", at_least(1), at_most(SEQUENCES)] = 8
    ptx_data: Annotated[
        dict[str, Any],
        "the settings of the source of pre-training text, with its `name`; auto: the source that init_from was pre-trained on",
    ] = field(default_factory=lambda: {"name": "auto"})

    def __post_init__(self) -> None:
        if self.kl_target is not None and not self.kl_coef:
            raise ValueError(
                f"objective.kl_target={self.kl_target} has no effect, since objective.kl_coef=0 stays 0; set kl_coef above 0, or "
                "objective.kl_target=null"
            )

    def pretraining_key(self) -> str:
        return "ptx_data" if self.ptx_coef else ""

    def forward_passes(self) -> dict[str, float]:
        """Add the passes of the value network, which trains on every episode, and of pre-training text."""
        passes = super().forward_passes()
        passes["score"] += 1.0
        passes["ppo"] *= 2.0
        return passes | ({"ptx": 3.0 * self.inner_epochs * self.ptx_ratio} if self.ptx_coef else {})

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.rl.ppo import PPO

        return PPO(
            self, tokenizer=tokenizer, context=context, judge=self.judge_config(), pretraining_source=self.pretraining_source()
        )


@dataclass
class GRPOConfig(ReinforcementLearningConfig):
    """Group-relative policy optimisation: advantages relative to other responses to the same prompt, no value network.

    Source: "DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models", section 4.1, equations 3 and 4.
    """

    name: str = "grpo"
    kl_coef: Annotated[float, "weight of the KL divergence from the initial model in the loss", at_least(0), at_most(SCORE)] = 0.04
    group: Annotated[int, "responses to each prompt", at_least(2), at_most(SEQUENCES)] = 8

    def forward_passes(self) -> dict[str, float]:
        return {stage: self.group * times for stage, times in super().forward_passes().items()}

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.rl.grpo import GRPO

        return GRPO(self, tokenizer=tokenizer, context=context, judge=self.judge_config())
