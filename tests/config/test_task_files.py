"""Tasks in a YAML file of the user's folder, chosen by name."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.command_line import GptkitCommand

QUIZ = """
defaults: [custom]
type: choice
prompt: |-
  Question: {{ question }}
  Answer:
options: "[a, b]"
answer: "'AB'.index(letter)"
normaliser: characters
"""


def test_a_file_of_ten_lines_is_a_task_and_data_path_goes_to_its_source(gptkit_command: GptkitCommand, in_folder: Path) -> None:
    Path("task").mkdir()
    Path("task/quiz.yaml").write_text(QUIZ)
    Path("quiz.csv").write_text("question,a,b,letter\nWhat is 2 + 2?,3,4,B\n")
    outcome = gptkit_command("eval", "task=quiz", "--config-dir", ".", "data.path=quiz.csv", "checkpoint=x", "--cfg", "job")
    assert (outcome.status, outcome.err) == (0, "")
    composed = yaml.safe_load(outcome.out)
    assert (composed["task"]["name"], composed["data"]["name"]) == ("custom", "rows")
    assert composed["task"]["prompt"] == "Question: {{ question }}\nAnswer:"


def test_a_key_that_the_task_does_not_have_is_refused(gptkit_command: GptkitCommand, in_folder: Path) -> None:
    Path("task").mkdir()
    Path("task/quiz.yaml").write_text(QUIZ + "promt: x\n")
    outcome = gptkit_command("eval", "task=quiz", "--config-dir", ".", "checkpoint=x")
    assert outcome.status == 2
    assert "promt" in outcome.err
    assert len(outcome.err.splitlines()) == 1
