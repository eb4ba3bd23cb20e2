"""Metrics of a labelled task over a whole validation set, from torchmetrics, with a bootstrap interval for the first one."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import MeanSquaredError, Metric, PearsonCorrCoef, SpearmanCorrCoef
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassMatthewsCorrCoef,
)
from torchmetrics.functional import pearson_corrcoef

CORRELATIONS = ("matthews", "pearson", "spearman")
RESAMPLES = 1000
RESAMPLES_PER_CHUNK = 50
"""The number of bootstrap resamples that are computed at a time."""
SEED = 20180611
"""Seed of the resamples. The same predictions give the same interval, and the global random number generator is not used."""


def compute_metrics(task: str, outputs: Tensor, labels: Tensor, *, positive: int | None = None) -> dict[str, float]:
    """Return metrics by name. `<first>_low` and `<first>_high` are the 95% percentile bootstrap interval of the first one.

    Args:
        task: one of `gptkit.objective.classify.classification_dataset.TASKS`.
        outputs: (N, K) logits, or (N,) scores.
        labels: (N,) numbers of the correct labels or options, or scores.
        positive: number of the label whose F1 is computed, against all other labels; None: the mean over labels ("macro").

    Returns:
        accuracy, f1 and matthews; accuracy for multiple choice; pearson, spearman and squared_error for regression. Empty if N is
        less than 2. A correlation (including matthews) with a constant is 0. The F1 of a label that occurs neither in predictions
        nor in `labels` is 0, and the mean excludes such labels.
    """
    if len(labels) < 2:
        return {}
    with warnings.catch_warnings():
        # torchmetrics warns that Spearman stores all predictions, as intended, and that Pearson is inexact, which float64 avoids
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torchmetrics")
        return _compute_metrics(task, outputs, labels, positive)


def _compute_metrics(task: str, outputs: Tensor, labels: Tensor, positive: int | None) -> dict[str, float]:
    if task == "regression":
        predicted, targets = outputs.double(), labels.double()
        metrics: dict[str, Metric] = {
            "pearson": PearsonCorrCoef(),
            "spearman": SpearmanCorrCoef(),
            "squared_error": MeanSquaredError(),
        }
    else:
        predicted, targets = outputs.argmax(-1), labels.long()
        count = outputs.size(-1)
        metrics = {"accuracy": MulticlassAccuracy(count, average="micro")}
        if task != "multiple_choice":
            f1 = MulticlassF1Score(count, average="macro" if positive is None else "none")
            metrics |= {"f1": f1, "matthews": MulticlassMatthewsCorrCoef(count)}
    for metric in metrics.values():
        metric.set_dtype(torch.float64)
    first = next(iter(metrics))
    varies = bool((predicted != predicted[0]).any() and (targets != targets[0]).any())
    scores = {name: metric(predicted, targets) for name, metric in metrics.items() if varies or name not in CORRELATIONS}
    if "f1" in scores and positive is not None:
        scores["f1"] = scores["f1"][positive]
    result = {name: float(scores.get(name, 0.0)) for name in metrics}
    low, high = bootstrap_interval(pearson_corrcoef if task == "regression" else accuracy_of_columns, predicted, targets)
    return {first: result.pop(first), f"{first}_low": low, f"{first}_high": high, **result}


def accuracy_of_columns(predicted: Tensor, targets: Tensor) -> Tensor:  # (N, R), (N, R) -> (R,)
    """Return the accuracy of each column."""
    return (predicted == targets).double().mean(0)


def bootstrap_interval(statistic: Callable[[Tensor, Tensor], Tensor], predicted: Tensor, targets: Tensor) -> tuple[float, float]:
    """Return the 95% percentile bootstrap interval over examples. A statistic that is undefined for a resample counts as 0.

    Args:
        statistic: computes the statistic of R resamples, one per column: (N, R), (N, R) -> (R,).
        predicted: (N,).
        targets: (N,).
    """
    generator = torch.Generator().manual_seed(SEED)
    statistics = []
    for _ in range(RESAMPLES // RESAMPLES_PER_CHUNK):
        indices = torch.randint(len(targets), (len(targets), RESAMPLES_PER_CHUNK), generator=generator)
        statistics.append(statistic(predicted[indices], targets[indices]))
    low, high = torch.cat(statistics).nan_to_num(0.0).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high
