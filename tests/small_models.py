"""Small language models for tests of scoring and evaluation."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from gptkit.attention import AttentionConfig, BandedAttentionConfig, DenseAttentionConfig
from gptkit.model import GPTConfig, LSTMConfig
from gptkit.model.base import Model
from gptkit.tokenizer import BytesTokenizerConfig

TOKENIZER = BytesTokenizerConfig().build(texts=[])
END = TOKENIZER.special["end_of_text"]


def random_model(kind: str = "gpt", *, context: int = 24, seed: int = 0) -> Model:
    """A model over bytes with random weights that are far from their initial values: gpt, banded or lstm."""
    torch.manual_seed(seed)
    attention: AttentionConfig = BandedAttentionConfig(window=8) if kind == "banded" else DenseAttentionConfig()
    config: Any = (
        LSTMConfig(layers=1, units=24, width=16, context=context)
        if kind == "lstm"
        else GPTConfig(layers=2, heads=2, width=16, context=context)
    )
    model: Model = config.build(attention=attention, vocabulary=TOKENIZER.size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def slow_log_probs(model: Model, context: list[int], continuation: list[int]) -> list[float]:
    """The log-probability of each token, by a forward pass of its own over all tokens before it."""
    values = []
    for place, token in enumerate(continuation):
        ids = (context + continuation[:place])[-model.context :]
        with torch.no_grad():
            logits = model.logits(model(torch.tensor([ids])))[0, -1].double()
        values.append((logits[token] - logits.exp().sum().log()).item())
    return values


class Bigrams(nn.Module):
    """Predicts a byte from the byte before it, by the bigrams of one text."""

    context, vocabulary = 256, TOKENIZER.size

    def __init__(self, text: str) -> None:
        super().__init__()
        counts = torch.full((self.vocabulary, self.vocabulary), 0.1)
        for one, other in itertools.pairwise([END, *TOKENIZER.encode(text)]):
            counts[one, other] += 10
        self.table = nn.Parameter(counts.log())

    def forward(self, tokens: Tensor, *, cache: Any = None) -> Tensor:
        return self.table[tokens]

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden

    def cache(self, batch: int, length: int) -> Any:
        return self

    def receive(self, counts: Tensor) -> None:
        """The cache of a model without memory is empty."""

    def select(self, rows: Tensor) -> None:
        """See `receive`."""
