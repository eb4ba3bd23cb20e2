"""What the objectives on rankings have in common: their data, the loss of their ratings, and what is measured of these."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gptkit.data.dataset import Batch, Dataset
from gptkit.data.record_checks import rankings_of
from gptkit.data.splits import split_records
from gptkit.objective.base import LOWEST_LOSS, Mean, Monitor, Objective, Terms
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
"""Forward passes over a batch's completions at most: sorted by length, these need less padding than one."""

MIN_ROWS_PER_PASS = 8
"""Completions that make a pass of their own worth it."""


class Preference(Objective):
    """Shapes: B prompts, C completions, T tokens. The model that is trained rates completions; the loss compares the ratings."""

    items_name = "rankings"
    best_checkpoint_by_loss = True

    margin = 0.0
    """By how much the better completion is to be rated higher."""

    def __init__(self, settings: Any, *, tokenizer: Tokenizer, context: int) -> None:
        super().__init__()
        self.settings = settings
        self.tokenizer = tokenizer
        self.context = context
        self.labelers: list[str] = []
        """Names by number: first those of the training split."""
        self.known_labelers = 0
        """How many are of the training split."""

    @abstractmethod
    def ratings(self, model: Model, batch: Batch) -> Tensor:
        """(B, C) in at least float32, 0 where there is no completion; only their differences count."""

    # -- data ---------------------------------------------------------------------------------------------------------------------

    def datasets(self, data: Data, *, validation_fraction: float) -> dict[str, Dataset]:
        """The rankings of the source, completions that are too long left out.

        Raises:
            DataError: the source has no rankings, one does not fit the template, or nothing is left to learn from.
        """
        reader = f"objective={self.settings.name}"
        rankings, held_out = split_records(data, validation_fraction, functools.partial(rankings_of, reader=reader))
        read = {"train": self._read(rankings, "training")} | (
            {"validation": self._read(held_out, "validation")} if held_out else {}
        )
        names = {split: sorted({item.labeler for item in items if item.labeler is not None}) for split, items in read.items()}
        self.known_labelers = len(names["train"])
        self.labelers = [*names["train"], *(name for name in names.get("validation", []) if name not in names["train"])]
        most = max(len(item.sequences) for items in read.values() for item in items)
        self.use_training_rankings(read["train"])
        return {split: PreferenceDataset(items, most=most, labelers=self.labelers) for split, items in read.items()}

    def _read(self, rankings: list[Ranking], what: str) -> list[TokenizedRanking]:
        return tokenize_rankings(
            rankings, tokenizer=self.tokenizer, template=self.settings.template, context=self.context, what=what
        )

    def use_training_rankings(self, items: list[TokenizedRanking]) -> None:
        """Take note of the training rankings."""

    # -- loss ---------------------------------------------------------------------------------------------------------------------

    def tokens(self, batch: Batch) -> int:
        """Without padding."""
        return int(batch["lengths"].sum())

    def counts(self, batch: Batch) -> dict[str, int]:
        """Prompts that have completions to compare: where all are tied, there is nothing to average over."""
        return {"ranking": int(preference_pairs(batch["ranks"], batch["lengths"] > 0).any((1, 2)).sum())}

    def loss(self, model: Model, batch: Batch) -> tuple[Terms, dict[str, Any]]:
        """The sum over prompts of equation 1; measured besides is the share of a prompt's pairs that are rated as ranked."""
        ratings, exists = self.ratings(model, batch), batch["lengths"] > 0
        losses = ranking_losses(ratings, batch["ranks"], exists, self.margin)
        measured: dict[str, Any] = {name: batch[name] for name in ("ranks", "lengths", "labelers")}
        measured["ratings"] = ratings.detach()
        better = preference_pairs(batch["ranks"], exists)
        right = (measured["ratings"][:, :, None] > measured["ratings"][:, None, :]) & better
        of_prompts = (right.sum((1, 2)) / better.sum((1, 2)).clamp(min=1)).sum()
        measured["accuracy"] = Mean(of_prompts, better.any(2).any(1).sum())  # over prompts that have something to compare
        return {"ranking": (1.0, losses.sum())}, measured

    # -- what is measured ---------------------------------------------------------------------------------------------------------

    def compute_metrics(self, kept: Mapping[str, Tensor]) -> dict[str, float]:
        from gptkit.objective.preference.metrics import compute_metrics

        return compute_metrics(kept, self.labelers, self.known_labelers)

    def monitor(self, metrics: Mapping[str, float]) -> Monitor:
        """The share of pairs that are rated as ranked: the loss depends on the margin, or on beta."""
        return Monitor("accuracy", "max") if "accuracy" in metrics else LOWEST_LOSS

    def figures(self, kept: Mapping[str, Tensor]) -> Mapping[str, Figure]:
        from gptkit.objective.preference.calibration import calibration_figure

        if not preference_pairs(kept["ranks"], kept["lengths"] > 0).any():
            return {}
        return {"Calibration": calibration_figure(kept["ratings"], kept["ranks"], kept["lengths"] > 0)}


def group_by_length(model: Model, lengths: Tensor) -> list[Tensor]:
    """The rows (N,) of a batch's sequences, without the empty ones, in groups of similar length: one forward pass each.

    A sharded model, which must run equally often on all devices, gets two; every ranking has two completions.
    """
    exist = lengths.nonzero().squeeze(1)
    rows = exist[lengths[exist].argsort(stable=True)]
    sharded = any(is_distributed(parameter) for parameter in model.parameters())
    groups = 2 if sharded else max(1, min(MAX_FORWARD_PASSES, len(rows) // MIN_ROWS_PER_PASS))
    return list(torch.tensor_split(rows, groups))
