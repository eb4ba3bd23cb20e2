"""Log-probabilities of the tokens of a text."""

from __future__ import annotations

import pytest
import torch

from gptkit.generation.token_log_probs import token_log_probs
from tests.small_models import TOKENIZER, random_model, slow_log_probs


@pytest.mark.parametrize("kind", ["gpt", "lstm"])
def test_every_token_but_the_first_one_is_scored(kind: str) -> None:
    model, ids = random_model(kind), TOKENIZER.encode("To be, or not to be")
    scores = token_log_probs(model, ids, vocabulary=TOKENIZER.size, top=3)
    assert [score.token for score in scores] == ids[1:]
    assert [score.log_prob for score in scores] == pytest.approx(slow_log_probs(model, ids[:1], ids[1:]), abs=1e-4)
    with torch.no_grad():
        logits = model.logits(model(torch.tensor([ids])))[0, :-1]
    assert [[token for token, _ in score.top] for score in scores] == logits.topk(3).indices.tolist()
    assert all(score.log_prob <= score.top[0][1] for score in scores)


def test_a_single_token_has_no_score() -> None:
    assert token_log_probs(random_model(), [5], vocabulary=TOKENIZER.size) == []
