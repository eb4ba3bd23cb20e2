"""Results with fixed draws of examples, as `gptkit compare` reads them."""

from __future__ import annotations

import json
from pathlib import Path

from gptkit.evaluation.comparison.comparison import compare_results
from gptkit.evaluation.comparison.stored_results import find_results
from tests.evaluation.sample_evaluations import choice_items, write_evaluation


def write_draws(folder: Path, scores: list[list[float]]) -> None:
    """Write a result in which item i has the score scores[d][i] in draw d."""
    items = choice_items(len(scores[0]))
    lines = [
        items[place] | {"item": f"{items[place]['item']}.{draw}", "scores": {"accuracy": score}, "draw": draw}
        for draw, row in reversed(list(enumerate(scores)))
        for place, score in enumerate(row)
    ]
    mean = sum(map(sum, scores)) / sum(map(len, scores))
    metrics = {"accuracy": {"value": mean}}
    path = write_evaluation(folder, lines, metrics=metrics, draws={"each": [{}] * len(scores)}) / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"items": len(items)}))


def test_draws_of_an_item_count_as_one_item(tmp_path: Path) -> None:
    write_draws(tmp_path / "a", [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    write_draws(tmp_path / "b", [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    a, b = (find_results(name, str(tmp_path / name)) for name in "ab")
    assert [item.scores["accuracy"] for item in a[""].items] == [1.0, 0.5, 0.0]
    assert [next(iter(a[""].lines([row])))["draw"] for row in range(3)] == [0, 0, 0]
    task = compare_results(a, b).tasks["choice"]
    metric = task.differences["accuracy"]
    assert (metric.higher, metric.lower, metric.equal, metric.test) == (2, 0, 1, "permutation")
    assert metric.difference == (0.5 + 0.5) / 3
    assert "2 in a, 2 in b" in task.notes[0]


def test_a_single_draw_is_paired_with_several(tmp_path: Path) -> None:
    write_draws(tmp_path / "a", [[1.0, 0.0]])
    write_draws(tmp_path / "b", [[1.0, 1.0], [0.0, 1.0]])
    task = compare_results(*(find_results(name, str(tmp_path / name)) for name in "ab")).tasks["choice"]
    assert (len(task.pairing.rows_a), task.pairing.only_a, task.pairing.only_b) == (2, 0, 0)
