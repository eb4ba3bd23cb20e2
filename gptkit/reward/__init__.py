"""Rewards: the base class of their configs, the built-in configs, and the hook that registers them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from omegaconf import MISSING

from gptkit.constraints import SCORE, at_least, at_most, not_empty
from gptkit.hookspecs import hookimpl
from gptkit.parts import Part

if TYPE_CHECKING:
    from gptkit.objective.base import TrainedModel
    from gptkit.reward.base import Reward


@dataclass
class RewardConfig(Part):
    """Scores responses to prompts: one number per response, higher is better.

    Subclasses set `name` to a default, add fields and implement `build`, which returns a `gptkit.reward.base.Reward`.
    """

    name: str = ""

    def build(self, *, load: Callable[[str], TrainedModel]) -> Reward:
        """Build the reward.

        Args:
            load: loads a trained model with its objective from a run or a checkpoint folder.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")


@dataclass
class ModelRewardConfig(RewardConfig):
    """The score of a reward model, that is, of a run that was trained with objective=reward.

    Source: "Training language models to follow instructions with human feedback", section 3.5. Prompts are formatted by the
    reward model's own chat template (`chat_template`). The policy may use another tokenizer.
    """

    name: str = "model"
    checkpoint: Annotated[str, "a run that was trained with objective=reward, or one of its checkpoints", not_empty] = MISSING

    def build(self, *, load: Callable[[str], TrainedModel]) -> Reward:
        from gptkit.reward.reward_model import ModelReward

        return ModelReward(load(self.checkpoint))


@dataclass
class LexiconRewardConfig(RewardConfig):
    """The sentiment of a response from -1 to 1, by a lexicon of human ratings of words, without a trained model.

    Source: "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text", computed by the authors' package.
    Ten people rated each of 7,520 words; negations and degrees ("not good", "very good") are taken into account. The score is the
    paper's compound score: s / sqrt(s^2 + 15) for the sum s of the valences, 0 if no word is rated. It becomes more extreme with
    the number of rated words.
    """

    name: str = "lexicon"

    def build(self, *, load: Callable[[str], TrainedModel]) -> Reward:
        from gptkit.reward.lexicon import LexiconReward

        return LexiconReward()


@dataclass
class RulesRewardConfig(RewardConfig):
    """A weighted sum of simple rules; rules of weight 0 are skipped. The prompt's facts may name an answer.

    Words are runs of letters, digits and apostrophes, case-insensitive. Each rule yields a value between 0 and 1, except for
    forbidden words, where every occurrence counts.
    """

    name: str = "rules"
    length: Annotated[
        float,
        "weight of being `words` words long: 1 for exactly that many, 0 for none or at least twice as many",
        at_least(-SCORE),
        at_most(SCORE),
    ] = 0.0
    words: Annotated[int, "the target length of `length`, in words", at_least(1)] = 20
    ended: Annotated[float, "weight of ending with one of `endings`", at_least(-SCORE), at_most(SCORE)] = 0.0
    endings: Annotated[list[str], "how a response may end; trailing spaces are ignored"] = field(
        default_factory=lambda: [".", "!", "?", '."', '!"', '?"']
    )
    wanted: Annotated[float, "weight of the share of `wanted_words` that occur", at_least(-SCORE), at_most(SCORE)] = 0.0
    wanted_words: Annotated[list[str], "words or phrases that should occur"] = field(default_factory=list)
    forbidden: Annotated[float, "subtracted for each occurrence of one of `forbidden_words`", at_least(-SCORE), at_most(SCORE)] = (
        0.0
    )
    forbidden_words: Annotated[list[str], "words or phrases that should not occur"] = field(default_factory=list)
    repetition: Annotated[
        float, "subtracted times the share of `run`-word phrases that occurred before", at_least(-SCORE), at_most(SCORE)
    ] = 0.0
    run: Annotated[int, "length in words of the phrases that `repetition` compares", at_least(1)] = 3
    answer: Annotated[float, "weight of containing the text of the prompt's fact `fact`", at_least(-SCORE), at_most(SCORE)] = 0.0
    fact: Annotated[str, "the fact that `answer` reads; a prompt without it is an error", not_empty] = "answer"

    def __post_init__(self) -> None:
        for key in ("wanted", "forbidden"):
            if getattr(self, key) and not getattr(self, f"{key}_words"):
                raise ValueError(f"reward.{key}={getattr(self, key)} needs reward.{key}_words, a list of words")

    def build(self, *, load: Callable[[str], TrainedModel]) -> Reward:
        from gptkit.reward.rules import RulesReward

        return RulesReward(self)


@dataclass
class ClassifierRewardConfig(RewardConfig):
    """The log-odds of a label under a text classifier, that is, a run that was trained with objective=aux_lm or probe."""

    name: str = "classifier"
    checkpoint: Annotated[str, "a run that was trained with objective=aux_lm or probe, or one of its checkpoints", not_empty] = (
        MISSING
    )
    label: Annotated[str, "the label whose log-odds are the score", not_empty] = MISSING
    with_prompt: Annotated[bool, "prepend the prompt's last turn to the text that is classified"] = False

    def build(self, *, load: Callable[[str], TrainedModel]) -> Reward:
        from gptkit.reward.classifier import ClassifierReward

        return ClassifierReward(self, load(self.checkpoint))


@hookimpl
def gptkit_reward() -> list[type[RewardConfig]]:
    return [ModelRewardConfig, LexiconRewardConfig, RulesRewardConfig, ClassifierRewardConfig]
