"""The hidden state at the last token of texts."""

from __future__ import annotations

import pytest
import torch

from gptkit.generation.hidden_states import last_hidden_states
from tests.small_models import random_model

SEQUENCES = [[1, 2, 3], [5], list(range(40)), [9, 8, 7, 6], [1, 2, 3]]


@pytest.mark.parametrize("kind", ["gpt", "banded", "lstm"])
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_state_is_that_of_a_forward_pass_of_the_text_alone(kind: str, rows: int) -> None:
    model = random_model(kind)
    with torch.no_grad():
        expected = torch.stack([model(torch.tensor([ids[-model.context :]]))[0, -1] for ids in SEQUENCES])
    torch.testing.assert_close(last_hidden_states(model, SEQUENCES, rows=rows), expected, rtol=0, atol=1e-5)


def test_states_have_float32_and_no_gradient() -> None:
    states = last_hidden_states(random_model().bfloat16(), SEQUENCES)
    assert states.dtype == torch.float32
    assert not states.requires_grad
