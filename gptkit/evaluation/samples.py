"""Several sampled answers per item: mean scores, pass@k, and the majority vote."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from gptkit.errors import ConfigError
from gptkit.task.base import Columns, Item, Task
from gptkit.task.requests import Answer, Generation
from gptkit.task.wrapper import TaskWrapper


class SampledTask(TaskWrapper):
    """A task whose requests are answered N times.

    Every score of an item is its mean over the samples. If a score says whether an answer is right (`Task.right_or_wrong`), there
    are also pass@k, the probability that at least one of k samples is right, and maj@n, whether the most frequent answer is right.

    The random numbers of a sample depend on the seed, the item and the number of the sample, so more samples continue fewer.
    """

    def __init__(self, task: Task, samples: int, pass_at: Sequence[int] | None = None) -> None:
        """
        Args:
            task: the task, which samples texts.
            samples: number of answers per item.
            pass_at: the values of k; None: powers of ten below the number of samples, and this number.

        Raises:
            ConfigError: the task does not sample texts.
        """
        super().__init__(task)
        self.right_or_wrong = None  # the scores are means over the samples
        self._samples = samples
        self.pass_at = default_pass_at(samples) if pass_at is None else list(dict.fromkeys(pass_at))
        for item in task.items():
            for request in item.requests:
                _check_sampled(request, samples)
        self._items = [replace(item, requests=item.requests * samples) for item in task.items()]

    def items(self) -> Sequence[Item]:
        return self._items

    def score(self, item: Item, answers: Sequence[Answer]) -> dict[str, float]:
        size = len(answers) // self._samples
        groups = [answers[first : first + size] for first in range(0, len(answers), size)]
        scores = [self._task.score(item, group) for group in groups]
        means = {name: math.fsum(each[name] for each in scores) / self._samples for name in scores[0]}
        name = self._task.right_or_wrong
        if name is None:
            return means
        right = sum(each[name] == 1.0 for each in scores)
        votes = Counter(self._task.final_answer(item, group) for group in groups)
        elected = votes.most_common(1)[0][0]  # the first one of several that are equally frequent
        majority = next(each for each, group in zip(scores, groups, strict=True) if self._task.final_answer(item, group) == elected)
        passes = {f"pass@{k}": pass_at_k(self._samples, right, k) for k in self.pass_at}
        return {**means, **passes, f"maj@{self._samples}": majority[name]}

    def aggregate(self, scores: Columns) -> dict[str, float]:
        name = self._task.right_or_wrong
        added = () if name is None else (*(f"pass@{k}" for k in self.pass_at), f"maj@{self._samples}")
        own = {key: values for key, values in scores.items() if key not in added}
        metrics = self._task.aggregate(own)
        for key in added:
            assert name is not None
            other = self._task.aggregate({**own, name: scores[key]})
            metrics[key] = other[name] if name in other else next(iter(other.values()))
        return metrics

    def option_scores(self, item: Item, answers: Sequence[Answer]) -> Sequence[float]:
        """Return nothing: the task generates texts, and does not compare options."""
        return ()


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Return the probability that at least one of k samples is right, estimated without bias from more samples.

    Source: "Evaluating Large Language Models Trained on Code" (Chen et al., 2021), equation 1: 1 - C(n - c, k) / C(n, k).
    """
    return 1.0 - math.comb(samples - right, k) / math.comb(samples, k)


def default_pass_at(samples: int) -> list[int]:
    """Return 1, 10, 100 and so on below the number of samples, and this number."""
    powers = [10**power for power in range(len(str(samples))) if 10**power < samples]
    return [*powers, samples]


def check_samples(samples: int, pass_at: Sequence[int] | None) -> None:
    """Check the keys `samples` and `pass_at`.

    Raises:
        ConfigError: they contradict each other.
    """
    for k in pass_at or ():
        if k > samples:
            raise ConfigError(f"pass_at={k} needs at least so many samples; set samples={k} or more")


def _check_sampled(request: object, samples: int) -> None:
    if not isinstance(request, Generation):
        raise ConfigError(f"samples={samples} is for tasks that generate texts; remove samples")
    if request.beams > 1:
        raise ConfigError(f"samples={samples} needs sampled texts; set task.beams=1 and task.temperature, for example to 0.8")
    if request.temperature == 0:
        raise ConfigError(
            f"samples={samples} needs sampled texts, and greedy decoding always generates the same one; set task.temperature, for "
            "example to 0.8"
        )
