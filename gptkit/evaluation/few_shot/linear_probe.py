"""A linear probe: logistic regression on hidden states of a frozen model, with its L2 strength chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gptkit.errors import ConfigError
from gptkit.task.base import Options

STRENGTHS = tuple(10.0**exponent for exponent in range(-4, 5))
"""The values of C, the inverse strength of L2, that cross-validation compares by log loss; the smallest one wins ties."""
FOLDS = 5
DEFAULT_STRENGTH = 1.0
"""The value of C if there are too few examples for cross-validation."""

Features = NDArray[np.float32]


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe. F features per text, N texts."""

    C: float
    folds: int
    """The number of folds of the cross-validation that chose C; 0: there were too few examples."""
    classes: tuple[int, ...]
    """The classes that the examples have, if the probe reads one text per item; empty if it reads one text per option."""
    estimator: Any

    def decision_values(self, features: Features) -> list[float | None]:
        """Return one value per option of an item, the highest one for the option that the probe chooses.

        Args:
            features: (options, F), or (1, F) if there are classes.

        Returns:
            The values; None for a class of which there was no example.
        """
        decisions = self.estimator.decision_function(features.astype(np.float64))
        if not self.classes:
            return [float(value) for value in decisions]
        row = [-decisions[0], decisions[0]] if decisions.ndim == 1 else decisions[0]
        by_class = dict(zip(self.classes, row, strict=True))
        return [float(by_class[number]) if number in by_class else None for number in range(max(self.classes) + 1)]


def fit_probe(options: Sequence[Options], features: Sequence[Features], *, draw: int) -> LinearProbe:
    """Fit a probe to the examples of a draw.

    If all items have the same options, the probe reads the text of an item and predicts one of several classes. Otherwise it reads
    each option as a text, and predicts whether the option is right; folds of the cross-validation consist of whole items.

    Args:
        options: the options of the examples.
        features: the hidden states of each example: (options, F), or (1, F) if there are classes.
        draw: the number of the draw, from 0, for messages.

    Raises:
        ConfigError: scikit-learn is not installed, or the examples have one class only.
    """
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        raise ConfigError("fewshot.mode=linear_probe needs scikit-learn; pip install gptkit[evaluation]") from None

    classes = options[0].classes
    if classes:
        labels = np.array([each.right for each in options])
    else:
        labels = np.array([number == each.right for each in options for number in range(len(each.texts))])
    groups = np.array([place for place, each in enumerate(features) for _ in each])
    counts = np.unique_counts(labels).counts
    if len(counts) < 2:
        only = f"label {classes[labels[0]]}" if classes else "right options"
        raise ConfigError(
            f"the {len(options)} examples of draw {draw + 1} have {only} only, so a probe cannot be fitted; choose a larger "
            "fewshot.k"
        )
    inputs = np.concatenate(list(features)).astype(np.float64)
    folds = min(FOLDS, int(counts.min()) if classes else len(options))
    estimator = make_pipeline(StandardScaler(), LogisticRegression(C=DEFAULT_STRENGTH, max_iter=10_000))
    if folds < 2:
        estimator.fit(inputs, labels)
        folds, strength = 0, DEFAULT_STRENGTH
    else:
        search = GridSearchCV(
            estimator,
            {"logisticregression__C": list(STRENGTHS)},
            scoring="neg_log_loss",
            cv=StratifiedKFold(folds) if classes else GroupKFold(folds),
            error_score="raise",
        )
        search.fit(inputs, labels, groups=None if classes else groups)
        estimator, strength = search.best_estimator_, float(search.best_params_["logisticregression__C"])
    found = tuple(int(label) for label in estimator[-1].classes_) if classes else ()
    return LinearProbe(strength, folds, found, estimator)
