"""Metrics of ratings against rankings over a whole validation set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gptkit.objective.classify.metrics import bootstrap_interval
from gptkit.objective.preference.ranking_loss import preference_pairs

MAX_LABELERS = 20
"""Maximum number of labelers whose accuracy is reported separately."""


def compute_metrics(outputs: Mapping[str, Tensor], labelers: Sequence[str], training_labelers: int) -> dict[str, float]:
    """Return accuracies and other metrics of ratings.

    An accuracy is the share of pairs, without ties, whose better completion has the higher rating; equal ratings count as half.

    Args:
        outputs: `ratings` (N, C) float32; `ranks` and `lengths` (N, C) int64, the latter 0 where there is no completion; `labelers`
            (N,) int64, -1 for an unnamed labeler.
        labelers: names of the labelers by number.
        training_labelers: number of labelers with rankings in the training split; they come first.

    Returns:
        accuracy with its 95% interval (percentile bootstrap over prompts, since pairs of one prompt are not independent);
        accuracy_k<K> for prompts with K completions; accuracy_by_<name> for each labeler, if there are at most 20;
        accuracy_known and accuracy_held_out for labelers with and without rankings in the training split; margin, the mean
        difference of the ratings of a pair; length_correlation, Pearson's correlation of rating and number of tokens among the
        completions of a prompt. Empty if there is no pair.
    """
    ratings, lengths = outputs["ratings"].double(), outputs["lengths"]
    exists = lengths > 0
    better = preference_pairs(outputs["ranks"], exists)  # (N, C, C)
    difference = ratings[:, :, None] - ratings[:, None, :]
    correct = ((difference > 0).double() + 0.5 * (difference == 0)).where(better, 0.0).sum((1, 2))  # (N,)
    count = better.sum((1, 2)).double()  # (N,)
    if not count.sum():
        return {}
    low, high = bootstrap_interval(_accuracies, correct, count)
    result = {"accuracy": float(correct.sum() / count.sum()), "accuracy_low": low, "accuracy_high": high}
    completions, labeler_numbers = exists.sum(1), outputs["labelers"]
    groups = {f"accuracy_k{number}": completions == number for number in sorted(set(completions.tolist()))}
    is_named = labeler_numbers >= 0
    if is_named.any():
        numbers = sorted(set(labeler_numbers[is_named].tolist()))
        if len(numbers) <= MAX_LABELERS:
            names = _metric_names(labelers)
            groups |= {f"accuracy_by_{names[number]}": labeler_numbers == number for number in numbers}
        groups |= {
            "accuracy_held_out": labeler_numbers >= training_labelers,
            "accuracy_known": is_named & (labeler_numbers < training_labelers),
        }
    for name, rows in groups.items():
        if count[rows].sum():
            result[name] = float(correct[rows].sum() / count[rows].sum())
    result["margin"] = float(difference.where(better, 0.0).sum() / count.sum())
    result["length_correlation"] = _correlation(_centred(ratings, exists)[exists], _centred(lengths.double(), exists)[exists])
    return result


def _accuracies(correct: Tensor, count: Tensor) -> Tensor:  # (N, R), (N, R) -> (R,)
    return correct.sum(0) / count.sum(0)


def _centred(values: Tensor, exists: Tensor) -> Tensor:
    """Subtract the mean of the completions of each row: (N, C) -> (N, C)."""
    return values - values.where(exists, 0.0).sum(1, keepdim=True) / exists.sum(1, keepdim=True)


def _correlation(x: Tensor, y: Tensor) -> float:
    """Return Pearson's correlation of values whose means are 0; 0 if either is constant."""
    return float((x * y).sum() / (x.norm() * y.norm()).clamp(min=torch.finfo(torch.float64).tiny))


def _metric_names(labelers: Sequence[str]) -> list[str]:
    """Return the names of labelers as parts of metric names. Names that become equal get a number."""
    names: list[str] = []
    for labeler in labelers:
        name = base = "".join(letter if letter.isalnum() else "_" for letter in labeler)
        number = 1
        while name in names:
            number += 1
            name = f"{base}_{number}"
        names.append(name)
    return names
