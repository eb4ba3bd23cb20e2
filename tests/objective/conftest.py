"""Labelled examples in memory, and a tiny model that reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from gptkit.attention import DenseAttentionConfig
from gptkit.chat_template import ChatTemplateConfig, PlainConfig
from gptkit.data.base import Data
from gptkit.model import GPTConfig
from gptkit.model.base import Model
from gptkit.objective import AuxLMConfig, SFTConfig
from gptkit.records import Dialogue, Example, Turn
from gptkit.tokenizer import BytesTokenizerConfig

WIDTH = 16

PLAIN = [
    Example("a fine film", "good"),
    Example("dull", "bad"),
    Example("what a long and tedious affair this was", "bad"),
    Example("oh", "good"),
    Example("so so", "neither"),
]
PAIRS = [
    Example("Paris is in France", "yes", pair="Paris is in Europe"),
    Example("It rains", "no", pair="It is dry"),
    Example("x", "perhaps", pair="a longer hypothesis than x"),
]
SCORED = [Example(example.text, score, pair=example.pair) for example, score in zip(PAIRS, (4.5, 0.25, -2.0), strict=True)]
CHOICES = [
    Example("She sat", 1, options=(" ate", " down", " blue and green")),
    Example("The door of the house", 0, options=(" opened", " x", " is not")),
    Example("", 2, options=("a", "b", "c")),
]
OF_TASK = {"classification": PLAIN, "entailment": PAIRS, "similarity": PAIRS, "regression": SCORED, "multiple_choice": CHOICES}


class Given(Data):
    """A source with the given records."""

    fingerprint = "given"

    def __init__(self, train: list[Any], validation: list[Any] | None = None) -> None:
        self._records = {"train": train} | ({} if validation is None else {"validation": validation})
        self.splits = tuple(self._records)

    def records(self, split: str) -> Iterator[Any]:
        yield from self._records[split]


@pytest.fixture
def examples() -> dict[str, list[Example]]:
    """A few examples of each family of tasks, with different lengths."""
    return OF_TASK


@pytest.fixture
def source() -> type[Given]:
    """`source(train, validation)`: returns a source of these records."""
    return Given


@pytest.fixture
def build() -> Callable[..., Any]:
    """`build(task, context=64, **settings)`: builds an objective with a byte tokenizer."""

    def built(task: str = "auto", *, context: int = 64, kind: type[AuxLMConfig] = AuxLMConfig, **settings: Any) -> Any:
        torch.manual_seed(1)
        return kind(task=task, **settings).build(tokenizer=BytesTokenizerConfig().build(texts=[]), context=context, width=WIDTH)

    return built


@pytest.fixture
def sft() -> Callable[..., Any]:
    """`sft(context=40, **settings)`: builds supervised fine-tuning with a byte tokenizer."""

    def built(*, context: int = 40, template: type[ChatTemplateConfig] = PlainConfig, **settings: Any) -> Any:
        tokenizer = BytesTokenizerConfig().build(texts=[])
        objective = SFTConfig(**settings).build(tokenizer=tokenizer, context=context, width=WIDTH)
        objective.chat_template = template().build(tokenizer=tokenizer)
        return objective

    return built


@pytest.fixture
def dialogue() -> Callable[..., Dialogue]:
    """`dialogue(question, answer)`: returns a dialogue of one exchange."""
    return lambda question, answer: Dialogue((Turn("user", question), Turn("assistant", answer)))


@pytest.fixture
def model_of() -> Callable[..., Model]:
    """`model_of(objective)`: builds a model with the objective's tokens, without dropout, whose outputs are far from uniform."""

    def built(objective: Any, *, dropout: float = 0.0) -> Model:
        torch.manual_seed(2)
        settings = GPTConfig(layers=2, heads=2, width=WIDTH, context=objective.context, dropout=dropout, norm="post")
        vocabulary = objective.tokenizer.size + objective.settings.added_tokens
        model = settings.build(attention=DenseAttentionConfig(), vocabulary=vocabulary)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(10)
        return model

    return built
