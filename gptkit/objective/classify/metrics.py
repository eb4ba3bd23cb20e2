"""Metrics of a labelled task over a whole validation set, by torchmetrics, with a bootstrap interval for the first of them."""

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
RESAMPLES_AT_ONCE = 50
"""Resamples that are judged together."""
SEED = 20180611
"""Of the resamples: the same predictions give the same interval, and training's random stream is left alone."""


def compute_metrics(task: str, outputs: Tensor, labels: Tensor, *, positive: int | None = None) -> dict[str, float]:
    """The metrics by name; `<first>_low` and `<first>_high` bound its 95% interval by the percentile bootstrap over examples.

    Args:
        task: one of `gptkit.objective.classify.classification_dataset.TASKS`.
        outputs: (N, K) logits, or (N,) scores.
        labels: (N,) numbers of the right ones, or scores.
        positive: the label whose F1 is wanted, every other one being the negative; None: the mean over labels ("macro").

    Returns:
        accuracy, f1 and matthews; accuracy for multiple choice; pearson, spearman and squared_error for regression. Nothing where N
        is below 2. A correlation (matthews is one) with what does not vary is 0, and so is the F1 of a label that is neither
        predicted nor wanted; the mean of F1 leaves such a label out.
    """
    if len(labels) < 2:
        return {}
    with warnings.catch_warnings():
        # that Spearman keeps all predictions, and that little variance makes Pearson inexact: so it is meant, and it is in float64
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torchmetrics")
        return _judgement(task, outputs, labels, positive)


def _judgement(task: str, outputs: Tensor, labels: Tensor, positive: int | None) -> dict[str, float]:
    if task == "regression":
        predicted, wanted = outputs.double(), labels.double()
        metrics: dict[str, Metric] = {
            "pearson": PearsonCorrCoef(),
            "spearman": SpearmanCorrCoef(),
            "squared_error": MeanSquaredError(),
        }
    else:
        predicted, wanted = outputs.argmax(-1), labels.long()
        count = outputs.size(-1)
        metrics = {"accuracy": MulticlassAccuracy(count, average="micro")}
        if task != "multiple_choice":
            f1 = MulticlassF1Score(count, average="macro" if positive is None else "none")
            metrics |= {"f1": f1, "matthews": MulticlassMatthewsCorrCoef(count)}
    for metric in metrics.values():
        metric.set_dtype(torch.float64)
    first = next(iter(metrics))
    varies = bool((predicted != predicted[0]).any() and (wanted != wanted[0]).any())
    scores = {name: metric(predicted, wanted) for name, metric in metrics.items() if varies or name not in CORRELATIONS}
    if "f1" in scores and positive is not None:
        scores["f1"] = scores["f1"][positive]
    result = {name: float(scores.get(name, 0.0)) for name in metrics}
    low, high = bootstrap_interval(pearson_corrcoef if task == "regression" else accuracy_of_columns, predicted, wanted)
    return {first: result.pop(first), f"{first}_low": low, f"{first}_high": high, **result}


def accuracy_of_columns(predicted: Tensor, wanted: Tensor) -> Tensor:  # (N, R), (N, R) -> (R,)
    """Of every column."""
    return (predicted == wanted).double().mean(0)


def bootstrap_interval(statistic: Callable[[Tensor, Tensor], Tensor], predicted: Tensor, wanted: Tensor) -> tuple[float, float]:
    """The 95% percentile-bootstrap interval over examples; a resample for which the statistic is undefined counts as 0.

    Args:
        statistic: (N, R), (N, R) -> (R,): of R resamples, each a column.
        predicted: (N,).
        wanted: (N,).
    """
    generator = torch.Generator().manual_seed(SEED)
    result = []
    for _ in range(RESAMPLES // RESAMPLES_AT_ONCE):
        indices = torch.randint(len(wanted), (len(wanted), RESAMPLES_AT_ONCE), generator=generator)
        result.append(statistic(predicted[indices], wanted[indices]))
    low, high = torch.cat(result).nan_to_num(0.0).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high
