"""The calibration of ratings: predicted preferences compared with observed ones, with a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.objective.preference.ranking_loss import preference_pairs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 10


def calibration(ratings: Tensor, ranks: Tensor, exists: Tensor, bins: int = BINS) -> tuple[Tensor, Tensor, Tensor]:
    """Bin pairs of completions by the predicted probability that the one with the higher rating is better.

    The probability is the sigmoid of the difference of the ratings.

    Args:
        ratings: (N, C) float.
        ranks: (N, C) int64, lower is better.
        exists: (N, C) bool.
        bins: number of equal bins of probabilities from 0.5 to 1.

    Returns:
        Three float64 tensors (bins,): mean predicted probability, share of pairs in which the completion with the higher rating is
        better, and number of pairs. The first two are NaN for an empty bin.
    """
    values = ratings.double()
    difference = (values[:, :, None] - values[:, None, :])[preference_pairs(ranks, exists)]  # (P,) better minus worse
    predicted = difference.abs().sigmoid()
    correct = (difference > 0).double() + 0.5 * (difference == 0)
    indices = ((predicted - 0.5) * 2 * bins).long().clamp(max=bins - 1)
    counts, predicted_sums, correct_sums = (torch.zeros(bins, dtype=torch.float64) for _ in range(3))
    counts.index_add_(0, indices, torch.ones_like(predicted))
    predicted_sums.index_add_(0, indices, predicted)
    correct_sums.index_add_(0, indices, correct)
    return predicted_sums / counts, correct_sums / counts, counts


def calibration_figure(ratings: Tensor, ranks: Tensor, exists: Tensor) -> Figure:
    """Plot the calibration. The area of a dot shows the share of pairs in its bin. Arguments as for `calibration`."""
    from matplotlib.figure import Figure

    predicted, observed, counts = calibration(ratings, ranks, exists)
    figure = Figure(figsize=(3.7, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0.5, 1.0], [0.5, 1.0], color="#66717f", linewidth=0.8, linestyle=(0, (4, 3)), label="as predicted")
    shares = (counts / counts.sum().clamp(min=1)).tolist()
    axes.plot(predicted.tolist(), observed.tolist(), color="#2563c9", linewidth=1.2)
    axes.scatter(predicted.tolist(), observed.tolist(), s=[12 + 400 * share for share in shares], color="#2563c9", alpha=0.7)
    axes.set(xlabel="predicted preference", ylabel="observed", xlim=(0.5, 1.0))
    axes.set_ylim(min(0.45, *(value for value in observed.tolist() if value == value)) - 0.02, 1.02)
    axes.legend(frameon=False, loc="upper left")
    return figure
