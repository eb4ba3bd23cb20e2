"""Users' own configurations: primary ones (`--config-name mine`), and options that are added (`+experiment=mine`)."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.command_line import GptkitCommand

PRIMARY = """
defaults:
  - command/train
  - base/parts
  - base/writes_run
  - override model: lstm
  - _self_
model:
  layers: 2
"""
EXPERIMENT = """# @package _global_
defaults:
  - override /optimizer: muon
  - _self_
model:
  layers: 3
"""


def write_configs(folder: Path, **files: str | bytes) -> None:
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("verb", [["train"], []])
def test_a_primary_configuration_is_composed(verb: list[str], gptkit_command: GptkitCommand, in_folder: Path) -> None:
    write_configs(in_folder, mine=PRIMARY)
    outcome = gptkit_command(*verb, "--config-name", "mine", "--config-dir", ".", "seed=5", "--cfg", "job")
    assert (outcome.status, outcome.err) == (0, "")
    composed = yaml.safe_load(outcome.out)
    assert (composed["model"]["name"], composed["model"]["layers"], composed["seed"]) == ("lstm", 2, 5)


def test_an_experiment_is_composed(gptkit_command: GptkitCommand, in_folder: Path) -> None:
    write_configs(in_folder, experiment__mine=EXPERIMENT)
    outcome = gptkit_command("train", "+experiment=mine", "--config-dir", ".", "--cfg", "job")
    assert (outcome.status, outcome.err) == (0, "")
    composed = yaml.safe_load(outcome.out)
    assert (composed["optimizer"]["name"], composed["model"]["layers"]) == ("muon", 3)


def test_a_run_may_use_both(gptkit_command: GptkitCommand, in_folder: Path) -> None:
    write_configs(in_folder, mine=PRIMARY, experiment__tiny="# @package _global_\nseed: 7\n")
    Path("x.txt").write_text("To be, or not to be, that is the question. " * 50)
    words = ["data=text", "data.path=x.txt", "tokenizer=bytes", "+shrink=tiny", "+experiment=tiny", "hydra.run.dir=run"]
    outcome = gptkit_command("--config-name", "mine", "--config-dir", ".", *words)
    assert outcome.status == 0, outcome.err
    run = yaml.safe_load(Path("run/config.yaml").read_text())
    assert (run["model"]["name"], run["seed"]) == ("lstm", 7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "# @package _global_\nmodel: {layrs: 2}\n",
            "experiment/mine.yaml: there is no key model.layrs. Did you mean model.layers?",
        ),
        (
            "# @package _global_\nlr: 2\n",
            "experiment/mine.yaml: there is no key lr. "
            "Did you mean optimizer.lr or callback.<name>.fewshot.lr (of callback=evaluation)?",
        ),
        ("# @package _global_\nmodel: {layers: many}\n", "experiment/mine.yaml: model.layers=many must be a whole number"),
        ("model: {layers: 2}\n", "experiment/mine.yaml: its first line must be # @package _global_"),
        ("# @package _global_\nmodel:\n\tlayers: 2\n", "experiment/mine.yaml: line 3 is not valid YAML"),
        ("# @package _global_\nseed: 1\nseed: 2\n", "experiment/mine.yaml: line 3 is not valid YAML: found duplicate key seed"),
        ("# @package _global_\nseed: [1\n", "experiment/mine.yaml: line 3 is not valid YAML"),
        (b"# @package _global_\nseed: '\xff'\n", "experiment/mine.yaml: not UTF-8 text at byte 27"),
        ("- a\n- b\n", "experiment/mine.yaml must be a mapping of keys to values; it is a list"),
        ("", "experiment/mine.yaml must be a mapping of keys to values; it is empty"),
        ("# @package _global_\ndefaults: 3\n", "Invalid defaults list in 'experiment/mine'"),
        (
            "# @package _global_\ndefaults: [/experiment/mine]\nseed: 1\n",
            "experiment/mine.yaml: the defaults list of a configuration includes itself",
        ),
        ("# @package _global_\ndefaults: [override /optimizer: muonn]\nseed: 1\n", "Did you mean optimizer=muon?"),
        ("# @package _global_\nseed: ${nowhere.x}\n", "seed: Interpolation key 'nowhere.x' not found"),
        ("# @package _global_\nseed: ${seed}\n", "seed"),
    ],
)
def test_a_mistake_in_a_file_is_one_line(
    content: str | bytes, message: str, gptkit_command: GptkitCommand, in_folder: Path
) -> None:
    write_configs(in_folder, experiment__mine=content)
    outcome = gptkit_command("train", "+experiment=mine", "--config-dir", ".")
    assert outcome.status == 2
    assert message in outcome.error_line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "+experiment=min", "--config-dir", "."], "there is no experiment=min. Did you mean experiment=mine?"),
        (["train", "+experimnt=mine", "--config-dir", "."], "Did you mean +experiment=...?"),
        (["train", "experiment=mine", "--config-dir", "."], "write +experiment=<option>"),
        (["train", "+experiment=mine"], "To use experiment/mine.yaml, add --config-dir ."),
        (["train", "--config-dir", "nowhere"], "--config-dir nowhere: the folder does not exist"),
        (["train", "--config-dir", "mine.yaml"], "--config-dir mine.yaml: the folder does not exist"),
        (["train", "--config-name", "mien", "--config-dir", "."], "there is no mien.yaml in .. Did you mean mine?"),
        (["generate", "--config-name", "mine", "--config-dir", "."], "mine is a configuration of train, not of generate"),
        (["train", "--config-name", "plain", "--config-dir", "."], "add +experiment=plain"),
        (["train", "--config-path", "."], "use --config-dir, which adds a folder"),
        (["train", "--config-dir", "clash"], "gptkit also provides trainer/cpu.yaml; rename yours"),
    ],
)
def test_choosing_a_file_incorrectly_is_one_line(
    words: list[str], message: str, gptkit_command: GptkitCommand, in_folder: Path
) -> None:
    write_configs(in_folder, mine=PRIMARY, plain="seed: 3\n", experiment__mine=EXPERIMENT)
    (in_folder / "clash").mkdir()
    write_configs(in_folder / "clash", trainer__cpu="accelerator: cpu\n")
    outcome = gptkit_command(*words)
    assert outcome.status == 2
    assert message in outcome.error_line


def test_help_offers_users_options(gptkit_command: GptkitCommand, in_folder: Path) -> None:
    write_configs(in_folder, experiment__mine=EXPERIMENT)
    page = gptkit_command("train", "--config-dir", ".", "+experiment=mine", "--help").out
    assert "+experiment=   mine" in page
    assert "model.layers=3" in page
