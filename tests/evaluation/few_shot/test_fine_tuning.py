"""Fine-tuning on a few examples: the model is unchanged, the copy learns, and the result depends on the seed alone."""

from __future__ import annotations

import pytest
import torch

from gptkit.evaluation.config import FewShotConfig
from gptkit.evaluation.few_shot import fine_tuning
from gptkit.evaluation.few_shot.fine_tuning import fine_tune, updates_of
from gptkit.generation.scoring import TokenSequence, score_continuations
from gptkit.model.base import Model
from tests.small_models import END, random_model

SEQUENCES = [TokenSequence([END, 10 + number, 20], [30 + number, 40]) for number in range(6)]
SETTINGS = FewShotConfig(k=6, mode="fine_tune", epochs=30, lr=3e-3, batch=4)


def loss(model: Model) -> float:
    return -sum(float(score.log_probs.mean()) for score in score_continuations(model, SEQUENCES)) / len(SEQUENCES)


def test_copy_learns_the_examples_and_the_model_is_unchanged() -> None:
    model = random_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generator = torch.get_rng_state()
    tuned = fine_tune(model, SEQUENCES, SETTINGS, seed=1)
    assert loss(tuned) < 0.5 * loss(model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert not tuned.training
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_all_weights_move() -> None:
    model = random_model()
    tuned = fine_tune(model, SEQUENCES, SETTINGS, seed=1)
    assert all(not torch.equal(one, other) for one, other in zip(model.parameters(), tuned.parameters(), strict=True))


def test_result_depends_on_the_seed_alone() -> None:
    one, same, other = (fine_tune(random_model(), SEQUENCES, SETTINGS, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_memory_limit_does_not_change_the_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = FewShotConfig(k=6, mode="fine_tune", epochs=3, lr=3e-3, batch=4)
    whole = fine_tune(random_model(), SEQUENCES, settings, seed=1)
    monkeypatch.setattr(fine_tuning, "TOKENS_PER_PASS", 5)
    parts = fine_tune(random_model(), SEQUENCES, settings, seed=1)
    assert loss(parts) == pytest.approx(loss(whole), rel=1e-3)
    assert loss(parts) < 0.95 * loss(random_model())


def test_first_update_is_that_of_the_papers_loss() -> None:
    """One update of AdamW moves every weight by the learning rate against the sign of the gradient, apart from weight decay."""
    model = random_model()
    settings = FewShotConfig(k=6, mode="fine_tune", epochs=1, lr=1e-3, batch=6)
    tuned = fine_tune(model, SEQUENCES, settings, seed=0)
    losses = []
    for sequence in SEQUENCES:
        row = torch.tensor([sequence.context + sequence.continuation])
        log_probs = model.logits(model(row[:, :-1])).log_softmax(-1).gather(-1, row[:, 1:, None]).squeeze()
        losses.append(-log_probs[-2:].mean() - 0.5 * log_probs.mean())
    torch.stack(losses).mean().backward()
    for one, other in zip(model.parameters(), tuned.parameters(), strict=True):
        assert one.grad is not None
        clear = one.grad.abs() > 1e-4
        decayed = one * (1 - 1e-3 * 0.01) if one.ndim > 1 else one
        torch.testing.assert_close((other - decayed)[clear], -1e-3 * one.grad.sign()[clear], rtol=1e-2, atol=1e-5)


def test_number_of_updates() -> None:
    assert updates_of(6, SETTINGS) == 60
