"""Log-probabilities of tokens: values, temperature and number format."""

from __future__ import annotations

import pytest
import torch

from gptkit.objective.log_probs import all_log_probs, token_log_probs


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_log_probabilities_match_the_distribution_at_a_temperature(temperature: float) -> None:
    logits, tokens = torch.randn(4, 6, dtype=torch.float64), torch.tensor([5, 0, 2, 2])
    scaled = (logits / temperature).exp()
    probabilities = scaled / scaled.sum(dim=1, keepdim=True)
    torch.testing.assert_close(all_log_probs(logits, temperature=temperature).exp(), probabilities)
    torch.testing.assert_close(
        token_log_probs(logits, tokens, temperature=temperature).exp(), probabilities[torch.arange(4), tokens]
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_log_probabilities_are_in_at_least_float32(dtype: torch.dtype) -> None:
    logits = torch.randn(3, 5, dtype=dtype)
    assert token_log_probs(logits, torch.arange(3)).dtype == torch.promote_types(dtype, torch.float32)
