"""Rewards: their scores, which do not depend on the batch or its order."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from gptkit.attention import DenseAttentionConfig
from gptkit.errors import CheckpointError, ConfigError, DataError, GptkitError
from gptkit.model import GPTConfig
from gptkit.objective import AuxLMConfig
from gptkit.objective.base import TrainedModel
from gptkit.objective.preference import RewardModelConfig
from gptkit.records import Prompt, Turn
from gptkit.reward import ClassifierRewardConfig, LexiconRewardConfig, ModelRewardConfig, RulesRewardConfig
from gptkit.reward.base import Reward, compute_scores
from gptkit.reward.rules import count_occurrences, length_score, repetition_rate, split_words
from gptkit.tokenizer import BytesTokenizerConfig

WORDS = ("a", "fine film", "so very dull, I left", "it is good! good! good!", "no", "what a wonderful day this was", "bad", "")
PROMPTS = [Prompt((Turn("user", text),)) for text in ("Review:", "Say", "Tell me now:", "", "x", "Well", "And so", "Hm")]


def trained_model(settings: Any, change: Callable[[Any], None] = lambda objective: None) -> TrainedModel:
    """Return a model and an objective with large random weights."""
    torch.manual_seed(1)
    tokenizer = BytesTokenizerConfig().build(texts=[])
    objective = settings.build(tokenizer=tokenizer, context=64, width=16)
    change(objective)
    vocabulary = tokenizer.size + settings.added_tokens
    model = GPTConfig(layers=2, heads=2, width=16, context=64).build(attention=DenseAttentionConfig(), vocabulary=vocabulary)
    with torch.no_grad():
        for parameter in [*model.parameters(), *objective.parameters()]:
            parameter.add_(0.3 * torch.randn_like(parameter))
    return TrainedModel(model.eval(), tokenizer, objective.eval(), {}, source="runs/it")


@pytest.fixture(scope="module")
def reward_model() -> TrainedModel:
    return trained_model(RewardModelConfig())


@pytest.fixture(scope="module")
def labeller() -> TrainedModel:
    return trained_model(
        AuxLMConfig(task="classification"), lambda objective: objective.set_labels("classification", ["bad", "good", "so-so"])
    )


@pytest.fixture(params=["model", "lexicon", "rules", "classifier"])
def judge(request: pytest.FixtureRequest, reward_model: TrainedModel, labeller: TrainedModel) -> Reward:
    if request.param == "model":
        return ModelRewardConfig(checkpoint="runs/it").build(load=lambda source: reward_model)
    if request.param == "lexicon":
        return LexiconRewardConfig().build(load=no_run)
    if request.param == "rules":
        return RulesRewardConfig(length=1.0, ended=1.0, repetition=2.0, run=1).build(load=no_run)
    return ClassifierRewardConfig(checkpoint="runs/it", label="good").build(load=lambda source: labeller)


def no_run(source: str) -> TrainedModel:
    raise AssertionError("no run is read")


def test_scores_depend_on_neither_the_batch_nor_the_order(judge: Reward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gptkit.reward.reward_model.TOKENS_PER_FORWARD_PASS", 90)
    together = judge(PROMPTS, WORDS)
    assert together.shape == (len(WORDS),)
    assert together.dtype == torch.float32
    assert len(together.unique()) > 2
    alone = torch.cat([judge([prompt], [text]) for prompt, text in zip(PROMPTS, WORDS, strict=True)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(judge(PROMPTS[::-1], WORDS[::-1]), together.flip(0), rtol=1e-5, atol=1e-5)


def test_a_reward_model_scores_like_its_objective(reward_model: TrainedModel) -> None:
    judge = ModelRewardConfig(checkpoint="runs/it").build(load=lambda source: reward_model)
    objective: Any = reward_model.objective
    ids = torch.tensor([objective.encode(PROMPTS[0].turns, WORDS[2])[0]])
    with torch.no_grad():
        hidden = reward_model.model(ids)[0, -1]
        slow = objective.head.weight[0] @ hidden + objective.head.bias[0] - objective.bias
    torch.testing.assert_close(judge(PROMPTS[:1], [WORDS[2]]), slow.reshape(1))
    assert judge.trained_model is reward_model


def test_a_reward_model_truncates_long_responses_and_warns_once(
    reward_model: TrainedModel, caplog: pytest.LogCaptureFixture
) -> None:
    judge = ModelRewardConfig(checkpoint="runs/it").build(load=lambda source: reward_model)
    with caplog.at_level(logging.WARNING, "gptkit"):
        scores = judge(PROMPTS[:2], ["long " * 20, "short"])
        assert torch.equal(judge(PROMPTS[:1], ["long " * 20 + "and more"]), scores[:1])
    assert caplog.text.count("1 of 2 responses do not fit into the reward model's context") == 1
    with pytest.raises(DataError, match="long prompt"):
        judge([Prompt((Turn("user", "long prompt " * 20),))], ["short"])


def test_a_run_of_another_objective_raises(labeller: TrainedModel, reward_model: TrainedModel) -> None:
    with pytest.raises(CheckpointError, match=r"runs/it .*objective=aux_lm.*needs a run with objective=reward"):
        ModelRewardConfig(checkpoint="runs/it").build(load=lambda source: labeller)
    with pytest.raises(CheckpointError, match="is not a text classifier"):
        ClassifierRewardConfig(checkpoint="runs/it", label="good").build(load=lambda source: reward_model)


def test_a_classifier_returns_the_log_odds_of_its_label(labeller: TrainedModel) -> None:
    from gptkit.objective.classify.prediction import predict
    from gptkit.records import Example

    objective: Any = labeller.objective
    (prediction,) = predict(labeller.model, objective, [Example("Review: fine film", "")])
    chance = torch.tensor(prediction.probabilities[1], dtype=torch.float64)
    reward = ClassifierRewardConfig(checkpoint="runs/it", label="good", with_prompt=True).build(load=lambda source: labeller)
    scores = reward(PROMPTS[:1], [" fine film "])
    torch.testing.assert_close(scores.double(), (chance / (1 - chance)).log().reshape(1), rtol=1e-4, atol=1e-5)


def test_an_unknown_label_names_the_labels_of_the_classifier(labeller: TrainedModel) -> None:
    with pytest.raises(ConfigError, match=r"are bad, good, so-so\. Did you mean good\?"):
        ClassifierRewardConfig(checkpoint="runs/it", label="goood").build(load=lambda source: labeller)


def test_the_lexicon_handles_negation_and_degree() -> None:
    judge = LexiconRewardConfig().build(load=no_run)
    very, good, nothing, not_good, awful = judge(
        PROMPTS[:5], ["very good", "good", "the table", "not good", "awful, horrible, bad"]
    ).tolist()
    assert very > good > nothing == 0.0 > not_good > awful >= -1.0


def test_a_missing_lexicon_package_names_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    with pytest.raises(GptkitError, match=r"reward=lexicon needs the package vaderSentiment; install it: pip install"):
        LexiconRewardConfig().build(load=no_run)


@pytest.mark.parametrize(
    ("settings", "response", "score"),
    [
        ({"length": 2.0, "words": 4}, "one two three", 1.5),
        ({"length": 2.0, "words": 4}, "one two three four five six seven eight nine", 0.0),
        ({"ended": 0.5}, "It ends. ", 0.5),
        ({"ended": 0.5}, "It does not", 0.0),
        ({"wanted": 1.0, "wanted_words": ["good film", "plot"]}, "A GOOD film.", 0.5),
        ({"forbidden": 1.0, "forbidden_words": ["an AI", "sorry"]}, "Sorry, sorry: as an ai I said", -3.0),
        ({"forbidden": 1.0, "forbidden_words": ["art"]}, "part of it started", 0.0),
        ({"repetition": 3.0, "run": 2}, "a b a b a", -1.5),
        ({"answer": 1.0, "fact": "capital"}, "I think it is Paris!", 1.0),
        ({"answer": 1.0, "fact": "capital"}, "I think it is Parisian", 0.0),
        ({"ended": 1.0, "length": 1.0, "words": 2}, "Well done!", 2.0),
    ],
)
def test_rules_are_summed_with_their_weights(settings: dict[str, Any], response: str, score: float) -> None:
    prompt = Prompt((Turn("user", "The capital of France?"),), {"capital": "Paris"})
    judge = RulesRewardConfig(**settings).build(load=no_run)
    assert judge([prompt], [response]).tolist() == pytest.approx([score])


def test_functions_of_rules_at_their_edge_cases() -> None:
    assert split_words("It's  the \u201cbest\u201d-of 2_000\u2019s!") == ["it's", "the", "best", "of", "2", "000's"]
    assert [length_score(count, 4) for count in (0, 2, 4, 6, 8, 80)] == [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]
    assert count_occurrences(["a", "a", "a"], ["a", "a"]) == 2
    assert count_occurrences([], ["a"]) == 0
    assert repetition_rate(["a", "b"], 3) == 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "reward=rules has no rule"),
        ({"wanted": 1.0, "wanted_words": ["good", "?!"]}, r"reward.wanted_words contains '\?!', which has no words"),
    ],
)
def test_invalid_rules_raise(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RulesRewardConfig(**settings).build(load=no_run)


def test_a_prompt_without_the_fact_is_named() -> None:
    judge = RulesRewardConfig(answer=1.0, fact="capital").build(load=no_run)
    with pytest.raises(DataError, match=r"reward.fact=capital: the prompt 'France\?' does not have this fact; its facts are city"):
        judge([Prompt((Turn("user", "France?"),), {"city": "Paris"})], ["Paris"])


class Constant(Reward):
    """The same score for all responses."""

    def __init__(self, score: float, count: int) -> None:
        self.score, self.count = score, count

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        return torch.full((self.count,), self.score)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_an_error_for_an_invalid_score_names_the_prompt(score: float) -> None:
    with pytest.raises(GptkitError, match=r"in answer to 'Say', which is not a finite number"):
        compute_scores(Constant(score, 1), PROMPTS[1:2], ["x"])
    with pytest.raises(GptkitError, match=r"shape \(3,\) for 1 responses"):
        compute_scores(Constant(0.0, 3), PROMPTS[1:2], ["x"])
