"""How well ratings agree with rankings, over a whole validation set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gptkit.objective.classify.metrics import bootstrap_interval
from gptkit.objective.preference.ranking_loss import preference_pairs

MAX_LABELERS = 20
"""Labelers whose accuracy is told apart; where there are more, only that of all held-out ones is told."""


def compute_metrics(kept: Mapping[str, Tensor], labelers: Sequence[str], known: int) -> dict[str, float]:
    """Shares of pairs, ties left out, of which the better completion is rated higher; rated equally counts as half.

    Args:
        kept: `ratings` (N, C) float32; `ranks` and `lengths` (N, C) int64, the latter 0 where there is no completion; `labelers`
            (N,) int64, -1: not named.
        labelers: their names by number.
        known: how many of these have rankings in the training split, too.

    Returns:
        accuracy with its 95% interval (percentile bootstrap over prompts: pairs of one prompt are not independent);
        accuracy_k<K> of prompts with K completions; accuracy_by_<name> of each labeler, where there are at most 20;
        accuracy_held_out and accuracy_known of labelers that training has not, and has; margin, the mean difference of the
        ratings of a pair; length_correlation, Pearson's, of rating with tokens among the completions of a prompt. Nothing where
        there is no pair.
    """
    ratings, lengths = kept["ratings"].double(), kept["lengths"]
    exists = lengths > 0
    better = preference_pairs(kept["ranks"], exists)  # (N, C, C)
    difference = ratings[:, :, None] - ratings[:, None, :]
    right = ((difference > 0).double() + 0.5 * (difference == 0)).where(better, 0.0).sum((1, 2))  # (N,)
    count = better.sum((1, 2)).double()  # (N,)
    if not count.sum():
        return {}
    low, high = bootstrap_interval(_shares, right, count)
    result = {"accuracy": float(right.sum() / count.sum()), "accuracy_low": low, "accuracy_high": high}
    completions, who = exists.sum(1), kept["labelers"]
    groups = {f"accuracy_k{number}": completions == number for number in sorted(set(completions.tolist()))}
    named = who >= 0
    if named.any():
        numbers = sorted(set(who[named].tolist()))
        if len(numbers) <= MAX_LABELERS:
            words = _words(labelers)
            groups |= {f"accuracy_by_{words[number]}": who == number for number in numbers}
        groups |= {"accuracy_held_out": who >= known, "accuracy_known": named & (who < known)}
    for name, chosen in groups.items():
        if count[chosen].sum():
            result[name] = float(right[chosen].sum() / count[chosen].sum())
    result["margin"] = float(difference.where(better, 0.0).sum() / count.sum())
    result["length_correlation"] = _correlation(_centred(ratings, exists)[exists], _centred(lengths.double(), exists)[exists])
    return result


def _shares(right: Tensor, count: Tensor) -> Tensor:  # (N, R), (N, R) -> (R,)
    return right.sum(0) / count.sum(0)


def _centred(values: Tensor, exists: Tensor) -> Tensor:
    """(N, C): minus the mean of the row's completions."""
    return values - values.where(exists, 0.0).sum(1, keepdim=True) / exists.sum(1, keepdim=True)


def _correlation(one: Tensor, other: Tensor) -> float:
    """Pearson's, of values whose means are 0; 0 where one does not vary."""
    return float((one * other).sum() / (one.norm() * other.norm()).clamp(min=torch.finfo(torch.float64).tiny))


def _words(names: Sequence[str]) -> list[str]:
    """Labelers' names as parts of a metric's; those that would be alike are numbered in their order."""
    words: list[str] = []
    for name in names:
        word = plain = "".join(letter if letter.isalnum() else "_" for letter in name)
        number = 1
        while word in words:
            number += 1
            word = f"{plain}_{number}"
        words.append(word)
    return words
