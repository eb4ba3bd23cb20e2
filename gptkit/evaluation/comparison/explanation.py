"""Explains the difference of two results of the same weights: evaluates again, and switches settings one by one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gptkit.errors import ConfigError, DataError
from gptkit.evaluation.comparison.stored_results import StoredResult
from gptkit.evaluation.model_answerer import weights_fingerprint
from gptkit.evaluation.task_evaluation import evaluate_task, prepare_task, settings_from_plain
from gptkit.task.comparison import Subject

PRECISIONS = {"float32": "fp32", "bfloat16": "bf16"}
NORMALISER = ("task.normaliser", "task.answer_context")
STEPS = ("boundary", "prefix", "normaliser", "prompt", "examples in context", "draws", "precision")
"""The steps in the order in which they are taken. Further settings of the task belong to the prompt."""

Load = Callable[[str], Subject]
"""Loads the model of the results with a precision, fp32 or bf16."""


@dataclass(frozen=True)
class Step:
    """The effect of some settings, when those of the earlier steps are switched already."""

    name: str
    changes: tuple[tuple[str, Any, Any], ...]
    """The keys that are switched, with their values in a and b."""
    effects: dict[str, float]
    """What the step adds to each metric."""


@dataclass(frozen=True)
class Explanation:
    """What the difference of two results consists of."""

    a: dict[str, float]
    """The stored metrics of a that b has, too."""
    b: dict[str, float]
    steps: tuple[Step, ...]
    """The first one evaluates a again, and adds 0 if everything is as it was."""
    remainder: dict[str, float]
    """The difference less the sum of the effects."""
    unexplained: tuple[tuple[str, Any, Any], ...]
    """The keys of the protocols that differ and that no step switches, with their values in a and b."""


def explain(a: StoredResult, b: StoredResult, load: Load, *, progress: Callable[[str], None] | None = None) -> Explanation:
    """Evaluate with the protocol of a, and switch to that of b step by step.

    Args:
        a: the first result.
        b: another result of the same task with the same weights.
        load: loads the model.
        progress: receives the name of each step before it is evaluated.

    Raises:
        ConfigError: the results have no settings to repeat.
        DataError: the model has other weights than a result.
    """
    settings = [_settings(result) for result in (a, b)]
    models: dict[str, Subject] = {}
    for result, plain in zip((a, b), settings, strict=True):
        precision = plain["precision"]
        if precision not in models:
            models[precision] = load(precision)
        if weights_fingerprint(models[precision].model) != result.protocol.get("weights"):
            lacking = f"{result.content.get('checkpoint')} does not have those of {result.folder}"
            raise DataError(f"explain=true needs two results of the same weights, and {lacking}")

    def evaluate(plain: Mapping[str, Any]) -> dict[str, float]:
        content = {name: value for name, value in plain.items() if name != "precision"} | {"index": None, "index_n": None}
        result = evaluate_task(prepare_task(settings_from_plain(content)), models[plain["precision"]])
        return {name: metric.value for name, metric in result.metrics.items()}

    stored = [{name: metric["value"] for name, metric in result.content["metrics"].items()} for result in (a, b)]
    names = [name for name, value in stored[0].items() if value is not None and stored[1].get(name) is not None]
    start, end = ({name: each[name] for name in names} for each in stored)
    current, steps = start, []
    plain = copy.deepcopy(settings[0])
    for name, changes in [("evaluated again", ()), *_steps(*settings)]:
        if progress is not None:
            progress(name)
        for key, _, value in changes:
            _switch(plain, key, value)
        metrics = evaluate(plain)
        following = {metric: metrics.get(metric, current[metric]) for metric in names}
        steps.append(Step(name, tuple(changes), {metric: following[metric] - current[metric] for metric in names}))
        current = following
    return Explanation(start, end, tuple(steps), {metric: end[metric] - current[metric] for metric in names}, _unexplained(a, b))


def _settings(result: StoredResult) -> dict[str, Any]:
    if "evaluation" not in result.content or "weights" not in result.protocol:
        raise ConfigError(f"explain=true evaluates again, and {result.folder} lacks the settings; evaluate to a new folder")
    precision = PRECISIONS.get(str(result.protocol.get("precision")), "fp32")
    return {**copy.deepcopy(dict(result.content["evaluation"])), "precision": precision}


def _steps(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, Any, Any]]]]:
    """Return the steps that change anything, with the keys that they switch."""
    changes: dict[str, list[tuple[str, Any, Any]]] = {name: [] for name in STEPS}
    for section, value in a.items():
        if section in ("index", "index_n"):
            continue
        other = b.get(section)
        if section in ("task", "fewshot") and isinstance(value, dict) and isinstance(other, dict):
            keys = [(f"{section}.{key}", value.get(key), other.get(key)) for key in dict.fromkeys([*value, *other])]
        else:
            keys = [(section, value, other)]
        for key, one, two in keys:
            if one != two:
                changes[_step_of(key)].append((key, one, two))
    return [(name, keys) for name, keys in changes.items() if keys]


def _step_of(key: str) -> str:
    if key in NORMALISER:
        return "normaliser"
    if key in ("task.boundary", "task.prefix"):
        return key.removeprefix("task.")
    if key == "precision":
        return "precision"
    if key.startswith("fewshot."):
        return "examples in context"
    return "draws" if key in ("seed", "samples", "pass_at") else "prompt"


def _switch(plain: dict[str, Any], key: str, value: Any) -> None:
    section, _, name = key.partition(".")
    if name:
        plain[section][name] = value
    else:
        plain[section] = value


def _unexplained(a: StoredResult, b: StoredResult) -> tuple[tuple[str, Any, Any], ...]:
    """Return what differs around the evaluations: the device, and the version of the program."""
    keys = [key for key in dict.fromkeys([*a.protocol, *b.protocol]) if key in ("device", "gptkit")]
    return tuple((key, a.protocol.get(key), b.protocol.get(key)) for key in keys if a.protocol.get(key) != b.protocol.get(key))
