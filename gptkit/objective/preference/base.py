"""The base class of objectives on rankings: the data, the loss of the ratings of completions, and their metrics."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gptkit.chat_template.plain import PlainTemplate
from gptkit.data.dataset import Batch, Dataset
from gptkit.data.record_checks import rankings_of
from gptkit.data.splits import split_records
from gptkit.objective.base import Mean, Objective, Terms
from gptkit.objective.monitor import LOWEST_LOSS, Monitor
from gptkit.objective.preference.preference_dataset import PreferenceDataset, TokenizedRanking, tokenize_rankings
from gptkit.objective.preference.ranking_loss import preference_pairs, ranking_losses
from gptkit.optimizer.groups import is_distributed
from gptkit.records import Ranking

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gptkit.data.base import Data
    from gptkit.model.base import Model
    from gptkit.tokenizer.base import Tokenizer

MAX_FORWARD_PASSES = 8
"""Maximum number of forward passes over the completions of a batch. Several passes, sorted by length, need less padding."""

MIN_ROWS_PER_PASS = 8
"""Minimum number of completions of a forward pass, if there are several passes."""


class Preference(Objective):
    """Rates completions and compares the ratings in the loss. Shapes: B prompts, C completions, T tokens."""

    items_name = "rankings"
    best_checkpoint_by_loss = True

    margin = 0.0
    """The margin by which the better completion must be rated higher."""

    def __init__(self, settings: Any, *, tokenizer: Tokenizer, context: int) -> None:
        super().__init__()
        self.settings = settings
        self.tokenizer = tokenizer
        self.context = context
        self.chat_template = PlainTemplate(tokenizer)
        self.labelers: list[str] = []
        """Names of the labelers by number. Those of the training split come first."""
        self.training_labelers = 0
        """The number of labelers of the training split."""

    @abstractmethod
    def ratings(self, model: Model, batch: Batch) -> Tensor:
        """Return ratings (B, C) in at least float32, 0 where there is no completion. Only their differences matter."""

    # -- data ---------------------------------------------------------------------------------------------------------------------

    def datasets(self, data: Data, *, validation_fraction: float) -> dict[str, Dataset]:
        """Return the rankings of the source, without completions that are too long.

        Raises:
            DataError: the source has no rankings, a ranking does not fit the template, or no ranking is left.
        """
        reader = f"objective={self.settings.name}"
        rankings, held_out = split_records(data, validation_fraction, functools.partial(rankings_of, reader=reader))
        tokenized = {"train": self._tokenize(rankings, "training")} | (
            {"validation": self._tokenize(held_out, "validation")} if held_out else {}
        )
        names = {split: sorted({item.labeler for item in items if item.labeler is not None}) for split, items in tokenized.items()}
        self.training_labelers = len(names["train"])
        self.labelers = [*names["train"], *(name for name in names.get("validation", []) if name not in names["train"])]
        max_completions = max(len(item.sequences) for items in tokenized.values() for item in items)
        self.use_training_rankings(tokenized["train"])
        return {
            split: PreferenceDataset(items, max_completions=max_completions, labelers=self.labelers)
            for split, items in tokenized.items()
        }

    def _tokenize(self, rankings: list[Ranking], split: str) -> list[TokenizedRanking]:
        return tokenize_rankings(rankings, template=self.chat_template, context=self.context, split=split)

    def use_training_rankings(self, items: list[TokenizedRanking]) -> None:
        """Receive the training rankings, for objectives that need them outside of batches. Default: do nothing."""

    # -- loss ---------------------------------------------------------------------------------------------------------------------

    def tokens(self, batch: Batch) -> int:
        """Return the number of tokens, without padding."""
        return int(batch["lengths"].sum())

    def counts(self, batch: Batch) -> dict[str, int]:
        """Return the number of prompts with at least one pair of completions that are not tied."""
        return {"ranking": int(preference_pairs(batch["ranks"], batch["lengths"] > 0).any((1, 2)).sum())}

    def loss(self, model: Model, batch: Batch) -> tuple[Terms, dict[str, Any]]:
        """Return the sum over prompts of equation 1, and as `accuracy` the share of pairs whose ratings match the ranks."""
        ratings, exists = self.ratings(model, batch), batch["lengths"] > 0
        losses = ranking_losses(ratings, batch["ranks"], exists, self.margin)
        metrics: dict[str, Any] = {name: batch[name] for name in ("ranks", "lengths", "labelers")}
        metrics["ratings"] = ratings.detach()
        better = preference_pairs(batch["ranks"], exists)
        correct = (metrics["ratings"][:, :, None] > metrics["ratings"][:, None, :]) & better
        prompt_accuracies = (correct.sum((1, 2)) / better.sum((1, 2)).clamp(min=1)).sum()
        metrics["accuracy"] = Mean(prompt_accuracies, better.any(2).any(1).sum())  # over prompts with pairs
        return {"ranking": (1.0, losses.sum())}, metrics

    # -- validation ---------------------------------------------------------------------------------------------------------------

    def compute_metrics(self, outputs: Mapping[str, Tensor]) -> dict[str, float]:
        from gptkit.objective.preference.metrics import compute_metrics

        return compute_metrics(outputs, self.labelers, self.training_labelers)

    def monitor(self, metrics: Mapping[str, float]) -> Monitor:
        """Return the accuracy, since the loss depends on the margin or on beta; the loss if there is no accuracy."""
        return Monitor("accuracy", "max") if "accuracy" in metrics else LOWEST_LOSS

    def figures(self, outputs: Mapping[str, Tensor]) -> Mapping[str, Figure]:
        from gptkit.objective.preference.rating_calibration import calibration_figure

        if not preference_pairs(outputs["ranks"], outputs["lengths"] > 0).any():
            return {}
        return {"Calibration": calibration_figure(outputs["ratings"], outputs["ranks"], outputs["lengths"] > 0)}


def group_by_length(model: Model, lengths: Tensor) -> list[Tensor]:
    """Group the rows (N,) of sequences that are not empty by length, one group per forward pass.

    A sharded model must run the same number of times on all devices, so it always gets two groups; every ranking has at least two
    completions.
    """
    rows = lengths.nonzero().squeeze(1)
    rows = rows[lengths[rows].argsort(stable=True)]
    is_sharded = any(is_distributed(parameter) for parameter in model.parameters())
    groups = 2 if is_sharded else max(1, min(MAX_FORWARD_PASSES, len(rows) // MIN_ROWS_PER_PASS))
    return list(torch.tensor_split(rows, groups))
