"""The settings of the objectives that align a model with people: demonstrations, rankings, and reinforcement learning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from gptkit.constraints import CONTEXT, LEARNING_RATE, SCORE, SEQUENCES, above, at_least, at_most, below, one_of
from gptkit.objective.chat_template import TEMPLATES
from gptkit.objective.config import ObjectiveConfig
from gptkit.plugins import registry
from gptkit.records import Dialogue, Prompt, Ranking

if TYPE_CHECKING:
    from gptkit.objective.base import Objective
    from gptkit.reward import RewardConfig
    from gptkit.tokenizer.base import Tokenizer


@dataclass
class DialogueObjectiveConfig(ObjectiveConfig):
    """What the objectives on dialogues share: how turns become text. No part itself."""

    template: Annotated[
        str, "plain: one question and its answer behind it; transcript: turns named Human and Assistant", one_of(*TEMPLATES)
    ] = "plain"


@dataclass
class SFTConfig(DialogueObjectiveConfig):
    """Supervised fine-tuning on demonstrations: next-token prediction of what the assistant says, and of its end.

    Source: "Training language models to follow instructions with human feedback", section 3.5 and appendix C.1. Examples are packed
    into sequences in which none sees another. With `reward=` the best checkpoint is the one whose responses to held-out prompts
    score highest, as in the paper; without, the one with the lowest validation loss.
    """

    record: ClassVar[type] = Dialogue

    name: str = "sft"
    learn: Annotated[str, "response: what the assistant says; all: the questions too", one_of("response", "all")] = "response"
    pretraining: Annotated[
        float, "share of the sequences that are pre-training text (the paper's start of PPO: 0.1)", at_least(0), below(1)
    ] = 0.0
    pretraining_data: Annotated[
        dict[str, Any], "the settings of its source, with its `name`; auto: what init_from was pre-trained on"
    ] = field(default_factory=lambda: {"name": "auto"})
    max_new_tokens: Annotated[int, "with reward=: longest response to a held-out prompt", at_least(1), at_most(CONTEXT)] = 64
    missing_end_of_text: Annotated[
        float | None,
        "with reward=: score of a response that does not end, in place of the reward's; null: the reward's",
        at_least(-SCORE),
        at_most(SCORE),
    ] = None

    def mixes_in(self) -> str:
        return "pretraining_data" if self.pretraining else ""

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.sft.supervised_fine_tuning import SFT

        return SFT(self, tokenizer=tokenizer, context=context, pretraining_source=self.pretraining_source())


@dataclass
class RewardModelConfig(DialogueObjectiveConfig):
    """A reward model from rankings: a scalar on the last token of each completion, compared in pairs.

    Source: "Training language models to follow instructions with human feedback", section 3.5, equation 1. One item is a prompt
    with its K completions, each read once; its loss is the mean over its pairs that are no ties. After training a bias is
    subtracted, so that demonstrations score 0 on average.
    """

    record: ClassVar[type] = Ranking
    writes: ClassVar[bool] = False

    name: str = "reward"
    margin: Annotated[float, "by how much the better completion is to score higher (0: the paper)", at_least(0), at_most(SCORE)] = (
        0.0
    )

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.preference.reward_model import RewardModel

        return RewardModel(self, tokenizer=tokenizer, context=context, width=width)


@dataclass
class DPOConfig(DialogueObjectiveConfig):
    """Direct preference optimisation: the policy itself is the reward model.

    Source: "Direct Preference Optimization: Your Language Model is Secretly a Reward Model", equation 7. Every pair of a ranking
    that is no tie is learned from; the reference is the model with which training began.
    """

    record: ClassVar[type] = Ranking
    begins_trained: ClassVar[bool] = True
    frozen_models: ClassVar[tuple[str, ...]] = ("reference",)

    name: str = "dpo"
    beta: Annotated[float, "how strongly the policy is held to the reference", above(0), at_most(SCORE)] = 0.1

    def passes(self) -> dict[str, float]:
        return {"reference": 1.0, "train": 3.0}

    def build(self, *, tokenizer: Tokenizer, context: int, width: int) -> Objective:
        from gptkit.objective.preference.dpo import DPO

        return DPO(self, tokenizer=tokenizer, context=context)


@dataclass
class ReinforcementConfig(DialogueObjectiveConfig):
    """What the objectives share that learn from rewarded responses to prompts. No part itself.

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
    doctor: Annotated[bool, "check at the start that sampling, scoring and training agree"] = True

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
class PPOConfig(ReinforcementConfig):
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
class GRPOConfig(ReinforcementConfig):
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
