"""Linear probes equal plain scikit-learn on hidden states of transformers, find a planted signal, and find nothing in noise."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gptkit.errors import ConfigError
from gptkit.evaluation.few_shot.linear_probe import STRENGTHS, LinearProbe, fit_probe
from gptkit.task.base import Options
from gptkit.task.requests import LogLikelihood

WIDTH = 12


def options_of(right: int, count: int = 3) -> Options:
    return Options(tuple(LogLikelihood("Q", f" {number}") for number in range(count)), right)


def classes_of(right: int, names: str = "ab") -> Options:
    return Options((), right, tuple(names), "text")


def data(examples: int, signal: float, *, seed: int = 0) -> tuple[list[Options], list[Any]]:
    """Examples with three options, whose right one has `signal` added to its first feature."""
    generator = np.random.default_rng(seed)
    options, features = [], []
    for _ in range(examples):
        right = int(generator.integers(3))
        states = generator.standard_normal((3, WIDTH)).astype(np.float32)
        states[right, 0] += signal
        options.append(options_of(right))
        features.append(states)
    return options, features


def accuracy(probe: LinearProbe, options: list[Options], features: list[Any]) -> float:
    chosen = [np.argmax([-np.inf if value is None else value for value in probe.decision_values(each)]) for each in features]
    return float(np.mean([each == option.right for each, option in zip(chosen, options, strict=True)]))


def test_planted_signal_is_found_and_noise_is_not() -> None:
    for signal, low, high in ((6.0, 0.95, 1.0), (0.0, 0.23, 0.43)):
        probe = fit_probe(*data(32, signal), draw=0)
        assert low <= accuracy(probe, *data(600, signal, seed=1)) <= high


def test_noise_gets_the_strongest_regularisation() -> None:
    assert fit_probe(*data(32, 0.0), draw=0).C < fit_probe(*data(32, 6.0), draw=0).C


def test_same_examples_give_the_same_probe() -> None:
    one, other = (fit_probe(*data(16, 1.0), draw=0) for _ in range(2))
    features = data(5, 1.0, seed=2)[1]
    assert (one.C, one.folds) == (other.C, other.folds)
    assert all(one.decision_values(each) == other.decision_values(each) for each in features)


def test_one_example_is_too_few_for_cross_validation() -> None:
    probe = fit_probe(*data(1, 3.0), draw=0)
    assert (probe.C, probe.folds) == (1.0, 0)
    assert fit_probe(*data(3, 3.0), draw=0).folds == 3


def test_classes_are_predicted_from_one_text() -> None:
    generator = np.random.default_rng(0)
    labels = [0, 1, 2] * 10
    features = [
        np.eye(3, WIDTH, dtype=np.float32)[[label]] * 4 + generator.standard_normal((1, WIDTH)).astype(np.float32)
        for label in labels
    ]
    probe = fit_probe([classes_of(label, "abc") for label in labels], features, draw=0)
    assert probe.folds == 5
    assert accuracy(probe, [classes_of(label, "abc") for label in labels], features) > 0.9
    assert len(probe.decision_values(features[0])) == 3


def test_class_without_an_example_is_never_predicted() -> None:
    features = [np.full((1, WIDTH), value, np.float32) for value in (0.0, 1.0, 0.1, 0.9)]
    probe = fit_probe([classes_of(label, "abc") for label in (0, 2, 0, 2)], features, draw=0)
    values = probe.decision_values(features[0])
    assert values[1] is None
    assert values[0] is not None and values[2] is not None and values[0] > values[2]


def test_examples_of_one_class_are_refused() -> None:
    with pytest.raises(
        ConfigError, match="the 2 examples of draw 3 have label b only, so a probe cannot be fitted; choose a larger"
    ):
        fit_probe([classes_of(1), classes_of(1)], [np.ones((1, WIDTH), np.float32)] * 2, draw=2)


def test_probe_equals_scikit_learn_on_hidden_states_of_transformers(tmp_path: Path) -> None:
    """By hand: transformers computes the states one text at a time, and the folds, scaling and log loss are written out."""
    from sklearn.linear_model import LogisticRegression

    transformers = pytest.importorskip("transformers")
    from gptkit.generation.hidden_states import last_hidden_states
    from gptkit.interop.huggingface import export_model
    from tests.small_models import TOKENIZER, random_model

    model = random_model()
    export_model(model, TOKENIZER, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    generator = np.random.default_rng(3)
    texts = [[generator.integers(0, 200, size=generator.integers(3, 20)).tolist() for _ in range(2)] for _ in range(10)]
    right = [int(sum(pair[1]) > sum(pair[0])) for pair in texts]
    states = last_hidden_states(model, [ids for pair in texts for ids in pair]).numpy()
    probe = fit_probe([options_of(each, 2) for each in right], list(states.reshape(10, 2, -1)), draw=0)

    with torch.no_grad():
        inputs = np.array(
            [
                theirs(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0, -1].numpy()
                for pair in texts
                for ids in pair
            ],
            dtype=np.float64,
        )
    labels = np.array([number == each for each in right for number in range(2)])
    groups = np.repeat(np.arange(10), 2)

    def fit(train: Any, strength: float) -> Callable[[Any], Any]:
        mean, scale = inputs[train].mean(0), inputs[train].std(0)
        regression = LogisticRegression(C=strength, max_iter=10_000, tol=1e-8).fit((inputs[train] - mean) / scale, labels[train])
        return lambda rows: regression.decision_function((rows - mean) / scale)

    fold_of = probe_folds(groups)
    losses = []
    for strength in STRENGTHS:
        fold_losses = []
        for fold in range(5):
            test = fold_of == fold
            signs = np.where(labels[test], 1.0, -1.0)
            fold_losses.append(np.logaddexp(0, -signs * fit(~test, strength)(inputs[test])).mean())
        losses.append(np.mean(fold_losses))
    assert probe.folds == 5
    assert STRENGTHS[int(np.argmin(losses))] == probe.C
    expected = fit(np.ones(20, bool), probe.C)(inputs).reshape(10, 2)
    values = np.array([probe.decision_values(each) for each in states.reshape(10, 2, -1)])
    np.testing.assert_allclose(values, expected, atol=2e-3)
    assert (values.argmax(1) == expected.argmax(1)).all()


def probe_folds(groups: Any) -> Any:
    """The fold of each text: whole items, dealt out in turn."""
    from sklearn.model_selection import GroupKFold

    folds = np.zeros(len(groups), int)
    for number, (_, test) in enumerate(GroupKFold(5).split(groups, groups=groups)):
        folds[test] = number
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    return folds


def test_no_warning_reaches_the_user() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_probe(*data(4, 50.0), draw=0)
