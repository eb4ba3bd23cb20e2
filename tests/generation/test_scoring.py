"""Log-probabilities of continuations equal those of one forward pass per token, whatever shares the pass."""

from __future__ import annotations

import random

import pytest
import torch

from gptkit.generation import predictions, scoring, scoring_batches
from gptkit.generation.scoring import TokenSequence, score_continuations
from tests.small_models import END, random_model, slow_log_probs

MODELS = {kind: random_model(kind) for kind in ("gpt", "banded", "lstm")}


def questions(count: int, options: int) -> list[TokenSequence]:
    """Contexts of different lengths, each with several continuations of different lengths, some of which begin alike."""
    draw = random.Random(count)
    sequences = []
    for number in range(count):
        context = [END, *(draw.randrange(256) for _ in range(draw.randrange(12)))]
        common = [draw.randrange(256) for _ in range(number % 3)]
        rests = [[draw.randrange(256) for _ in range(draw.randrange(0 if common else 1, 6))] for _ in range(options)]
        sequences += [TokenSequence(context, common + rest) for rest in rests]
    return sequences


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("options", [1, 2, 4])
def test_log_probabilities_equal_those_of_single_tokens(kind: str, options: int) -> None:
    model, sequences = MODELS[kind], questions(9, options)
    for sequence, score in zip(sequences, score_continuations(model, sequences), strict=True):
        assert score.log_probs.tolist() == pytest.approx(slow_log_probs(model, sequence.context, sequence.continuation), abs=1e-5)


@pytest.mark.parametrize("kind", MODELS)
def test_log_probabilities_do_not_depend_on_batch_size_and_order(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, sequences = MODELS[kind], questions(20, 3) + questions(10, 1)
    expected = score_continuations(model, sequences)
    order = random.Random(0).sample(range(len(sequences)), len(sequences))
    monkeypatch.setattr(predictions, "LOGITS_PER_SLICE", 600)
    for rows in (1, 7, 64):
        shuffled = score_continuations(model, [sequences[index] for index in order], rows=rows)
        for index, score in zip(order, shuffled, strict=True):
            torch.testing.assert_close(score.log_probs, expected[index].log_probs, rtol=0, atol=1e-5)
            assert score.is_greedy == expected[index].is_greedy
    monkeypatch.setattr(scoring, "TOKENS_PER_PASS", 20)
    monkeypatch.setattr(scoring_batches, "CACHED_TOKENS", 40)
    for score, other in zip(score_continuations(model, sequences), expected, strict=True):
        torch.testing.assert_close(score.log_probs, other.log_probs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", MODELS)
def test_shared_contexts_may_fill_the_context_of_the_model(kind: str) -> None:
    model = MODELS[kind]
    full, short = [END, *range(20)], [END, 5]
    sequences = [TokenSequence(context, list(range(30, 30 + n))) for context in (full, short) for n in (1, 2, 4)]
    for sequence, score in zip(sequences, score_continuations(model, sequences), strict=True):
        assert score.log_probs.tolist() == pytest.approx(slow_log_probs(model, sequence.context, sequence.continuation), abs=1e-5)
    sequences += [TokenSequence(short, list(range(23)))]  # longer than what the full context leaves
    for sequence, score in zip(sequences, score_continuations(model, sequences), strict=True):
        assert score.log_probs.tolist() == pytest.approx(slow_log_probs(model, sequence.context, sequence.continuation), abs=1e-5)


def test_what_continuations_share_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, context = random_model(), [END, *range(10)]
    sizes: list[int] = []
    handle = model.register_forward_pre_hook(lambda module, inputs: sizes.append(inputs[0].numel()))
    score_continuations(model, [TokenSequence(context, [1, 2]), TokenSequence(context, [3, 4]), TokenSequence(context, [5])])
    assert sizes == [11, 2]
    sizes.clear()
    score_continuations(
        model, [TokenSequence(context, [1, 2, 3, 4]), TokenSequence(context, [1, 2, 5]), TokenSequence(context, [1, 2])]
    )
    assert sizes == [12, 4]
    sizes.clear()
    score_continuations(model, [TokenSequence(context, [1, 2])] * 3)
    assert sizes == [12]
    handle.remove()


def test_the_same_continuations_may_fill_the_context_of_the_model() -> None:
    model, sequence = random_model(), TokenSequence([END, *range(20)], [7, 8, 9, 10])
    alone, *others = (score.log_probs for count in (1, 2) for score in score_continuations(model, [sequence] * count))
    assert len(sequence) == model.context + 1
    for other in others:
        torch.testing.assert_close(other, alone, rtol=0, atol=1e-5)


def test_greedy_continuations_are_recognised() -> None:
    model, ids = random_model(), [END, 5, 7]
    for _ in range(4):
        with torch.no_grad():
            ids.append(int(model.logits(model(torch.tensor([ids])))[0, -1].argmax()))
    other = [*ids[3:-1], (ids[-1] + 1) % 256]
    alone = score_continuations(model, [TokenSequence(ids[:3], ids[3:])])
    shared = score_continuations(model, [TokenSequence(ids[:3], ids[3:]), TokenSequence(ids[:3], other)])
    assert [score.is_greedy for score in alone + shared] == [True, True, False]


@pytest.mark.parametrize("options", [1, 3])
def test_excluded_tokens_cannot_begin_a_continuation(options: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, context = random_model(), [END, 5, 7]
    excluded: list[int] = []
    for _ in range(3):
        with torch.no_grad():
            logits = model.logits(model(torch.tensor([context])))[0, -1]
        best = int(logits.index_fill(0, torch.tensor(excluded, dtype=torch.long), -torch.inf).argmax())
        with torch.no_grad():
            then = int(model.logits(model(torch.tensor([[*context, best]])))[0, -1].argmax())
        for size in (600, 1 << 24):
            monkeypatch.setattr(predictions, "LOGITS_PER_SLICE", size)
            sequences = [TokenSequence(context, ids) for ids in ([best, then], [best, (then + 1) % 256], [best])[:options]]
            scores = score_continuations(model, sequences, excluded=excluded)
            assert [score.is_greedy_filtered for score in scores] == [True, False, True][:options]
            assert [score.is_greedy for score in scores] == ([False] * options if excluded else [True, False, True][:options])
        excluded.append(best)


def test_long_sequences_are_truncated_on_the_left() -> None:
    model, context, continuation = random_model(), [END, *range(40)], [7, 8]
    (score,) = score_continuations(model, [TokenSequence(context, continuation)])
    kept = (context + continuation)[-25:-2]
    assert score.log_probs.tolist() == pytest.approx(slow_log_probs(model, kept, continuation), abs=1e-5)
    (score,) = score_continuations(model, [TokenSequence([END], list(range(60)))])
    assert len(score.log_probs) == 24


def test_scoring_leaves_a_training_model_and_its_random_numbers_unchanged() -> None:
    model = random_model().train()
    before = torch.get_rng_state()
    score_continuations(model, questions(3, 2))
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
