"""The folder of each job of a sweep whose command writes to `to=`."""

from __future__ import annotations

import pytest

from gptkit.config.sweep_folders import separate_folders


@pytest.mark.parametrize(
    ("words", "folder"),
    [
        (["to=evals/x", "fewshot.k=0,1,10"], "to='evals/x/${fewshot.k}'"),
        (["to='evals/x/'", "checkpoint=runs/a,runs/b", "fewshot.k=0,1"], "to='evals/x/${checkpoint}/${fewshot.k}'"),
        (["to=evals", "task=choice,referent"], "to='evals/${hydra:job.num}'"),
        (["to=evals", "task.kinds=[2D+],[2D-]"], "to='evals/${hydra:job.num}'"),
        (["to=evals", "checkpoint=../a,../b"], "to='evals/${hydra:job.num}'"),
        (["to=evals", "fewshot.k=1"], "to=evals"),
        (["to='evals/${fewshot.k}'", "fewshot.k=0,1"], "to='evals/${fewshot.k}'"),
        (["to=a,b", "fewshot.k=0,1"], "to=a,b"),
    ],
)
def test_jobs_have_folders_of_their_own(words: list[str], folder: str) -> None:
    assert separate_folders("eval", words) == [folder, *words[1:]]


def test_a_command_with_a_folder_of_its_own_is_unchanged() -> None:
    assert separate_folders("train", ["seed=0,1"]) == ["seed=0,1"]
