"""The language-modelling loss: against a loop over tokens, in slices, in bfloat16, and with separate documents."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gptkit.objective import LMConfig, losses
from gptkit.objective.lm.next_token_prediction import LM
from gptkit.objective.losses import cross_entropy_sum


class Bigram(nn.Module):
    """Predicts the next token from the last one alone, and records the segments that it receives."""

    def __init__(self, vocabulary: int = 7) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(vocabulary, 5)
        self.head = nn.Linear(5, vocabulary, bias=False)
        self.segments: Tensor | None = None

    def forward(self, tokens: Tensor, *, cache: Any = None, segments: Tensor | None = None) -> Tensor:
        self.segments = segments
        return self.table(tokens)

    def logits(self, hidden: Tensor) -> Tensor:
        return self.head(hidden)


def objective() -> LM:
    return LM(LMConfig(), tokenizer=None, context=4)  # type: ignore[arg-type]


BATCH = {"tokens": torch.tensor([[1, 2, 3, 4], [0, 6, 5, 1]]), "targets": torch.tensor([[2, 3, 4, 5], [6, 5, 1, 0]])}


def test_loss_is_the_sum_over_tokens_of_minus_log_probability() -> None:
    model = Bigram()
    terms, metrics = objective().loss(model, BATCH)  # type: ignore[arg-type]
    slow = 0.0
    for row, expected in zip(BATCH["tokens"].tolist(), BATCH["targets"].tolist(), strict=True):
        for token, target in zip(row, expected, strict=True):
            logits = model.head(model.table.weight[token]).tolist()
            slow -= math.log(math.exp(logits[target]) / sum(math.exp(x) for x in logits))
    weight, total = terms["lm"]
    assert weight == 1.0
    assert total.item() == pytest.approx(slow, rel=1e-6)
    assert metrics == {}
    assert objective().counts(BATCH) == {"lm": 8}
    assert objective().tokens(BATCH) == 8


def test_segments_are_passed_to_the_model() -> None:
    model = Bigram()
    segments = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1]])
    objective().loss(model, {**BATCH, "segments": segments})  # type: ignore[arg-type]
    assert model.segments is segments


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_slices_change_neither_loss_nor_gradient(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "LOGITS_PER_CPU_SLICE", rows * 13)
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(10, 16, generator=generator)[:, :13].requires_grad_()  # a slice of padded logits, which is not contiguous
    targets = torch.randint(0, 13, (10,), generator=generator)
    reference = logits.detach().double().requires_grad_()
    cross_entropy_sum(logits, targets).mul(0.25).backward()
    (nn.functional.cross_entropy(reference, targets, reduction="sum") * 0.25).backward()
    torch.testing.assert_close(logits.grad, reference.grad.float(), rtol=1e-5, atol=1e-7)
    assert cross_entropy_sum(logits, targets).item() == pytest.approx(
        nn.functional.cross_entropy(reference, targets, reduction="sum").item(), rel=1e-6
    )


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_weighted_loss_and_gradient_match_pytorch(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "LOGITS_PER_CPU_SLICE", rows * 13)
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(10, 13, generator=generator).requires_grad_()
    targets = torch.randint(0, 13, (10,), generator=generator)
    weights = torch.rand(10, generator=generator)
    weights[4] = 0.0
    reference = logits.detach().double().requires_grad_()
    slow = (nn.functional.cross_entropy(reference, targets, reduction="none") * weights.double()).sum()
    total = cross_entropy_sum(logits, targets, weights)
    assert total.item() == pytest.approx(slow.item(), rel=1e-6)
    total.mul(0.25).backward()
    slow.mul(0.25).backward()
    assert reference.grad is not None
    torch.testing.assert_close(logits.grad, reference.grad.float(), rtol=1e-5, atol=1e-7)


def test_bfloat16_logits_are_summed_in_float32() -> None:
    logits = torch.randn(2000, 9, generator=torch.Generator().manual_seed(2)).bfloat16()
    targets = torch.arange(2000) % 9
    exact = float(nn.functional.cross_entropy(logits.double(), targets, reduction="sum"))
    assert float(cross_entropy_sum(logits, targets)) == pytest.approx(exact, rel=1e-6)


def test_enormous_logits_stay_finite() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    total = cross_entropy_sum(logits, torch.tensor([1]))
    total.backward()
    assert total.item() == pytest.approx(2e4)
    assert logits.grad is not None
    assert logits.grad.tolist() == [[1.0, -1.0, 0.0]]
