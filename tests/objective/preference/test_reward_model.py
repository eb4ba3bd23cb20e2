"""The reward model: scores that depend only on their sequence, bias, accuracy by group, invalid rankings; and DPO."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gptkit.data.padding import pad_sequences, sequence_lengths
from gptkit.errors import DataError
from gptkit.objective import DPOConfig, RewardModelConfig
from gptkit.objective.monitor import LOWEST_LOSS
from gptkit.objective.preference.dpo import log_probabilities
from gptkit.objective.preference.metrics import compute_metrics
from gptkit.objective.preference.rating_calibration import calibration
from gptkit.records import Ranking, Turn
from gptkit.tokenizer import BytesTokenizerConfig

ASK = (Turn("user", "Which?"),)


def ranking(*completions: str, ranks: tuple[int, ...], **more: Any) -> Ranking:
    return Ranking(ASK, completions, ranks, **more)


RANKINGS = [
    ranking(" good", " bad", " so so, or perhaps", ranks=(0, 2, 1), labeler="Ann", demonstration=" best"),
    ranking(" a", " much longer completion than that", ranks=(1, 0), labeler="Bob"),
    ranking(" same", " as", " this", " one", ranks=(0, 0, 0, 0), labeler="Ann"),
    ranking(" good", " a bad one", " good too", " x", ranks=(0, 1, 0, 2)),
]


@pytest.fixture
def build() -> Callable[..., Any]:
    def built(kind: type = RewardModelConfig, *, context: int = 60, **settings: Any) -> Any:
        torch.manual_seed(3)
        return kind(**settings).build(tokenizer=BytesTokenizerConfig().build(texts=[]), context=context, width=16)

    return built


@pytest.fixture
def reward(build: Any, source: Any, model_of: Any) -> tuple[Any, Any, Any]:
    """Return the objective, a model with dropout, and the training dataset."""
    built = build()
    train = built.datasets(source(RANKINGS), validation_fraction=0)["train"]
    model = model_of(built, dropout=0.3)
    built.freeze(model)
    return built, model.train(), train


def test_a_run_describes_its_number_of_rankings(build: Any, source: Any) -> None:
    built = build()
    datasets = built.datasets(source(RANKINGS), validation_fraction=0)
    assert built.describe(datasets) == f"{len(RANKINGS)} rankings to learn from"


def test_a_batch_has_room_for_the_largest_ranking(reward: Any) -> None:
    built, _, train = reward
    batch = train.batch([0, 1])
    assert batch["tokens"].shape == (2, 4, len("Which?") + len(" much longer completion than that") + 1)
    assert (batch["lengths"] > 0).sum(1).tolist() == [3, 2]
    assert built.counts(batch) == {"ranking": 2}
    assert built.counts(train.batch([2])) == {"ranking": 0}
    assert built.tokens(batch) == int(train.lengths()[:2].sum())


def test_scores_depend_on_neither_padding_nor_other_sequences(reward: Any) -> None:
    built, model, train = reward
    together = built.ratings(model, train.batch([0, 1, 2, 3]))
    for item in range(4):
        torch.testing.assert_close(built.ratings(model, train.batch([item]))[0], together[item], rtol=0, atol=1e-5)
    alone, _ = built.encode(ASK, " so so, or perhaps")
    sequences = [alone, alone + [7] * 20]
    tokens, lengths = pad_sequences(sequences), sequence_lengths(sequences)
    lengths[1] = len(alone)
    scores = built.scores(model, tokens, lengths)
    torch.testing.assert_close(scores, together[0, 2].expand(2), rtol=0, atol=1e-5)
    assert alone[-1] == built.tokenizer.special["end_of_text"]


def test_the_loss_does_not_depend_on_the_order_of_completions(build: Any, source: Any, model_of: Any) -> None:
    losses = set()
    for order in itertools.permutations(range(3)):
        first = RANKINGS[0]
        turned = ranking(*(first.completions[index] for index in order), ranks=tuple(first.ranks[index] for index in order))
        built = build()
        train = built.datasets(source([turned]), validation_fraction=0)["train"]
        losses.add(round(built.loss(model_of(built), train.batch([0]))[0]["ranking"][1].item(), 5))
    assert len(losses) == 1


@pytest.mark.parametrize("kind", [RewardModelConfig, DPOConfig])
def test_ties_give_no_gradient_and_losses_of_rankings_add_up(build: Any, source: Any, model_of: Any, kind: type) -> None:
    built = build(kind)
    train = built.datasets(source(RANKINGS), validation_fraction=0)["train"]
    model = model_of(built)
    built.start(model)
    built.freeze(model)
    tied = built.loss(model, train.batch([2]))[0]["ranking"][1]
    tied.backward()
    assert tied.item() == 0.0
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())
    whole = built.loss(model, train.batch([0, 1, 2, 3]))[0]["ranking"][1].item()
    assert sum(built.loss(model, train.batch([item]))[0]["ranking"][1].item() for item in range(4)) == pytest.approx(
        whole, abs=1e-5
    )


def test_demonstrations_score_zero_on_average_and_rankings_do_not_change(build: Any, source: Any, model_of: Any) -> None:
    built = build()
    shown = [ranking(" a", " b", ranks=(0, 1), demonstration=f" demonstration {number}" * (number % 3 + 1)) for number in range(40)]
    train = built.datasets(source([*shown, *RANKINGS[:2]]), validation_fraction=0)["train"]
    model = model_of(built, dropout=0.2)
    with torch.no_grad():
        built.head.bias.fill_(2.5)
    before = built.loss(model, train.batch([40, 41]))
    built.on_save_checkpoint(model)
    demonstrations = [built.encode(ASK, text)[0] for text in [item.demonstration for item in shown] + [" best"]]
    scores = built.scores(model, pad_sequences(demonstrations), sequence_lengths(demonstrations))
    assert abs(float(scores.detach().mean())) < 1e-4
    after = built.loss(model, train.batch([40, 41]))
    assert torch.equal(before[1]["ratings"], after[1]["ratings"])  # nor does any loss change: saving does not affect training
    again = build()
    again.restore(model, built.state_dict())
    assert torch.equal(again.scores(model, pad_sequences(demonstrations), sequence_lengths(demonstrations)), scores)


def test_without_demonstrations_the_best_completions_score_zero(build: Any, source: Any, model_of: Any) -> None:
    built = build()
    built.datasets(source([ranking(" worse", " best", ranks=(1, 0))]), validation_fraction=0)
    model = model_of(built)
    built.on_save_checkpoint(model)
    best = [built.encode(ASK, " best")[0]]
    assert abs(float(built.scores(model, pad_sequences(best), sequence_lengths(best)).detach())) < 1e-4


def test_accuracy_is_reported_by_k_by_labeler_and_for_held_out_labelers() -> None:
    kept = {
        "ratings": torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 0.0], [3.0, 1.0, 1.0]]),
        "ranks": torch.tensor([[0, 1, 2], [0, 1, 0], [0, 0, 1]]),
        "lengths": torch.tensor([[9, 8, 7], [5, 5, 0], [7, 7, 7]]),
        "labelers": torch.tensor([0, 1, -1]),
    }
    result = compute_metrics(kept, ["Ann", "B ob"], training_labelers=1)
    # right pairs: 3 of 3; 0 of 1; 1 of 2 in the third ranking, whose other pair has equal ratings
    assert result["accuracy"] == pytest.approx(4.5 / 6)
    assert result["accuracy_low"] <= result["accuracy"] <= result["accuracy_high"]
    assert result["accuracy_k3"] == pytest.approx(4.5 / 5)
    assert result["accuracy_k2"] == 0.0
    assert (result["accuracy_by_Ann"], result["accuracy_by_B_ob"]) == (1.0, 0.0)
    assert (result["accuracy_known"], result["accuracy_held_out"]) == (1.0, 0.0)
    assert result["margin"] == pytest.approx((1 + 2 + 1 - 1 + 2 + 0) / 6)
    alike = compute_metrics(kept, ["w.1", "w_1"], training_labelers=1)
    assert (alike["accuracy_by_w_1"], alike["accuracy_by_w_1_2"]) == (1.0, 0.0)
    assert result["length_correlation"] > 0
    tied = {**kept, "ranks": torch.zeros(3, 3, dtype=torch.int64)}
    assert compute_metrics(tied, [], training_labelers=0) == {}


def test_calibration_compares_predicted_with_observed_preferences() -> None:
    ratings, ranks = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)], [9.0, 0.0]]), torch.tensor([[1, 0], [0, 1], [0, 1]])
    predicted, observed, counts = calibration(ratings, ranks, torch.ones(3, 2, dtype=torch.bool), bins=2)
    assert counts.tolist() == [0, 3] or counts.tolist() == [2, 1]
    assert float((predicted * counts).nansum()) == pytest.approx(0.75 * 2 + 1 / (1 + math.exp(-9)), abs=1e-6)
    assert float((observed * counts).nansum()) == pytest.approx(2.0)


def test_invalid_rankings_raise_and_long_completions_are_left_out(
    build: Any, source: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def read(*records: Any, context: int = 60) -> Any:
        return build(context=context).datasets(source(list(records)), validation_fraction=0)["train"]

    with pytest.raises(
        DataError, match="ranking 2 of the train split has 1 completion and 1 rank; it must have at least two completions"
    ):
        read(RANKINGS[0], ranking(" alone", ranks=(0,)))
    with pytest.raises(DataError, match="ranking 1 of the train split has 2 completions and 1 rank"):
        read(ranking(" a", " b", ranks=(0,)))
    with pytest.raises(DataError, match="in every ranking of the training split all completions are tied"):
        read(RANKINGS[2])
    with pytest.raises(DataError, match=r"no ranking of the training split has two completions that fit model\.context=9"):
        read(RANKINGS[0], context=9)
    with pytest.raises(DataError, match="reads rankings, but the source yields strs"):
        read("no record")
    with caplog.at_level(logging.WARNING, "gptkit"):
        assert len(read(*RANKINGS, context=16)) == 3
    assert "3 completions of the training split are longer than model.context=16" in caplog.text
    with caplog.at_level(logging.WARNING, "gptkit"):
        tied = build().datasets(source([RANKINGS[0]], [RANKINGS[2]]), validation_fraction=0)
    assert "in every ranking of the validation split all completions are tied" in caplog.text
    assert set(tied) == {"train", "validation"}


def test_a_long_completion_is_truncated_and_a_long_prompt_raises(build: Any) -> None:
    built = build()
    ids, missing = built.encode(ASK, "x" * 70)
    whole = [*b"Which?", *b"x" * 70]
    assert (len(ids), missing) == (built.context, len(whole) + 1 - built.context)
    assert ids == [*whole[: built.context - 1], built.tokenizer.special["end_of_text"]]
    assert built.encode(ASK, "x")[1] == 0
    with pytest.raises(DataError, match=r"the prompt 'yyyy.*' has 70 tokens, which leaves no room for a response"):
        built.encode((Turn("user", "y" * 70),), "x")


def test_tied_rankings_have_neither_accuracy_nor_calibration(build: Any, source: Any, model_of: Any) -> None:
    built = build()
    train = built.datasets(source([RANKINGS[0], RANKINGS[2]]), validation_fraction=0)["train"]
    model = model_of(built)
    _, measured = built.loss(model, train.batch([1]))
    kept = {name: tensor for name, tensor in measured.items() if isinstance(tensor, Tensor)}
    assert built.compute_metrics(kept) == {}
    assert built.figures(kept) == {}
    assert built.monitor({}) == LOWEST_LOSS
    both, alone = (built.loss(model, train.batch(rows))[1]["accuracy"] for rows in ([0, 1], [0]))
    # a prompt whose completions are all tied does not affect the others
    assert float(both.total) == pytest.approx(float(alone.total))
    assert int(both.count) == int(alone.count)


def test_dpo_starts_at_a_loss_of_ln_2_and_its_rewards_are_log_ratios(build: Any, source: Any, model_of: Any) -> None:
    built = build(DPOConfig, beta=0.3)
    train = built.datasets(source(RANKINGS), validation_fraction=0)["train"]
    model = model_of(built, dropout=0.2).train()
    built.start(model)
    batch = train.batch([0, 1, 2, 3])
    first = built.loss(model, batch)
    assert float(first[0]["ranking"][1].detach()) == pytest.approx(3 * math.log(2), abs=1e-6)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)))
    rewards = built.ratings(model, batch).detach()

    def slowly(network: Any, text: str) -> float:
        network.eval()
        prompt, response = b"Which?", [*text.encode(), 256]
        ids = torch.tensor([[*prompt, *response]])
        with torch.no_grad():
            chances = network.logits(network(ids)).log_softmax(-1)[0]
        return sum(float(chances[len(prompt) + index - 1, token]) for index, token in enumerate(response))

    for row, item in enumerate(RANKINGS):
        for index, text in enumerate(item.completions):
            assert float(rewards[row, index]) == pytest.approx(
                0.3 * (slowly(model, text) - slowly(built.reference, text)), abs=1e-3
            )
    assert not any(parameter.requires_grad for parameter in built.reference.parameters())
    again = build(DPOConfig, beta=0.3)
    again.restore(model, built.state_dict())
    torch.testing.assert_close(log_probabilities(again.reference, batch), log_probabilities(built.reference, batch))
    assert float(rewards[0, 3]) == 0.0  # no completion
