"""Whether preferences are predicted as often as they are observed: a calibration plot of ratings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gptkit.objective.preference.ranking_loss import preference_pairs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 10


def calibration(ratings: Tensor, ranks: Tensor, exists: Tensor, bins: int = BINS) -> tuple[Tensor, Tensor, Tensor]:
    """Of pairs by the predicted probability that the completion which is rated higher is the better one, sigmoid of the difference.

    Args:
        ratings: (N, C) float.
        ranks: (N, C) int64, lower is better.
        exists: (N, C) bool.
        bins: equal stretches of the probabilities from a half to 1.

    Returns:
        (bins,) float64 each, NaN where a bin is empty but for the last: mean predicted probability, share of pairs in which it is
        the better one, number of pairs.
    """
    values = ratings.double()
    difference = (values[:, :, None] - values[:, None, :])[preference_pairs(ranks, exists)]  # (P,) better minus worse
    predicted = difference.abs().sigmoid()
    right = (difference > 0).double() + 0.5 * (difference == 0)
    indices = ((predicted - 0.5) * 2 * bins).long().clamp(max=bins - 1)
    counts, sums, rights = (torch.zeros(bins, dtype=torch.float64) for _ in range(3))
    counts.index_add_(0, indices, torch.ones_like(predicted))
    sums.index_add_(0, indices, predicted)
    rights.index_add_(0, indices, right)
    return sums / counts, rights / counts, counts


def calibration_figure(ratings: Tensor, ranks: Tensor, exists: Tensor) -> Figure:
    """The plot; the arguments are those of `calibration`. The area of a dot is its share of the pairs."""
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
