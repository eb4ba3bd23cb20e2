"""Next-token prediction: equation 1 of "Improving Language Understanding by Generative Pre-Training", summed over tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from gptkit.data.dataset import Batch, Dataset
from gptkit.objective.base import Objective, Terms
from gptkit.objective.lm import LMConfig
from gptkit.objective.losses import cross_entropy_sum

if TYPE_CHECKING:
    from gptkit.data.base import Data
    from gptkit.model.base import Model
    from gptkit.tokenizer.base import Tokenizer


class LM(Objective):
    """Batches have `tokens`, `targets` (the next tokens) and, with separate documents, `segments`; all (B, T)."""

    def __init__(self, settings: LMConfig, *, tokenizer: Tokenizer, context: int) -> None:
        super().__init__()
        self.settings = settings
        self.tokenizer = tokenizer
        self.context = context

    def datasets(self, data: Data, *, validation_fraction: float) -> dict[str, Dataset]:
        """Return windows of `context` tokens over the packed documents, from token shards on disk that are reused."""
        from gptkit.data.windows import language_model_datasets

        return language_model_datasets(
            data,
            tokenizer=self.tokenizer,
            context=self.context,
            validation_fraction=validation_fraction,
            separate_documents=self.settings.separate_documents,
        )

    def counts(self, batch: Batch) -> dict[str, int]:
        """Return the number of predicted tokens, for the only term."""
        return {"lm": batch["targets"].numel()}

    def loss(self, model: Model, batch: Batch) -> tuple[Terms, dict[str, Tensor]]:
        """Return the summed negative log-likelihood of the targets in nats, and no metrics."""
        hidden = model(batch["tokens"], segments=batch.get("segments"))
        logits = model.logits(hidden)
        return {"lm": (1.0, cross_entropy_sum(logits.flatten(0, 1), batch["targets"].flatten()))}, {}
