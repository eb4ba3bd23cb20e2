"""Next-token prediction: equation 1 of "Improving Language Understanding by Generative Pre-Training", as a sum over tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from gptkit.objective import LM
from gptkit.objective.built import Batch, BuiltObjective, Dataset, Terms
from gptkit.objective.cross_entropy import cross_entropy_sum

if TYPE_CHECKING:
    from gptkit.data.built import BuiltData
    from gptkit.model.built import BuiltModel
    from gptkit.tokenizer.built import BuiltTokenizer


class BuiltLM(BuiltObjective):
    """A batch is `tokens` and `targets` (the tokens one further on), and `segments` where documents are kept apart; all (B, T)."""

    def __init__(self, settings: LM, *, tokenizer: BuiltTokenizer, context: int) -> None:
        super().__init__()
        self.settings = settings
        self.tokenizer = tokenizer
        self.context = context

    def datasets(self, data: BuiltData, *, validation_fraction: float) -> dict[str, Dataset]:
        """Windows of `context` tokens over the packed documents, from token shards on disk (made once, then reused)."""
        from gptkit.objective.windows import language_model_datasets

        return language_model_datasets(
            data,
            tokenizer=self.tokenizer,
            context=self.context,
            validation_fraction=validation_fraction,
            separate_documents=self.settings.separate_documents,
        )

    def counts(self, batch: Batch) -> dict[str, int]:
        """One term: how many tokens are predicted."""
        return {"lm": batch["targets"].numel()}

    def loss(self, model: BuiltModel, batch: Batch) -> tuple[Terms, dict[str, Tensor]]:
        """The negative log-likelihood of the targets in nats, summed; no metrics besides."""
        hidden = model(batch["tokens"], segments=batch.get("segments"))
        logits = model.logits(hidden)
        return {"lm": (1.0, cross_entropy_sum(logits.flatten(0, 1), batch["targets"].flatten()))}, {}
