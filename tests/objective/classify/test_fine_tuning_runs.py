"""Fine-tuning runs: initial weights from other runs, exact resumption, and the embedded datasets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import gptkit
from gptkit.errors import ConfigError
from gptkit.objective.classify.aux_lm import AuxLM
from gptkit.training.checkpoints.load import load, load_objective

TINY = (
    "model.layers=3",
    "model.heads=2",
    "model.width=16",
    "model.context=64",
    "tokenizer=bytes",
    "batch.size=6",
    "trainer=cpu",
    "val.every=0",
    "val.sequences=20",
    "samples.prompts=[]",
    "optimizer.lr=0.01",
)
SHAPE = ("model.", "tokenizer")
"""Overrides of keys that init_from decides."""

Run = Callable[..., dict[str, Any]]


def newest(folder: Path, file: str = "model") -> dict[str, Tensor]:
    return load_file(max((folder / "checkpoints").glob("step-*")) / f"{file}.safetensors")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of examples and a text file."""
    folder = tmp_path_factory.mktemp("fine_tuning")
    (folder / "text.txt").write_text("".join(f"{n} bottles and {n * n % 97} glasses\n" for n in range(90)))
    rows = [f"{n} bottles{' of wine' * (n % 4)},{'odd' if n % 2 else 'even'}" for n in range(40)]
    (folder / "table.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(root: Path) -> Run:
    """`run(name, *words)`: trains a tiny run and returns its result."""

    def train(name: str, *words: str) -> dict[str, Any]:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            mine = [word for word in TINY if not (any("init_from" in each for each in words) and word.startswith(SHAPE))]
            result: dict[str, Any] = gptkit.run(gptkit.compose("train", [*mine, *words, f"hydra.run.dir={root / name}"]))
        finally:
            torch.set_num_threads(before)
        return result

    return train


@pytest.fixture(scope="module")
def labelled(root: Path) -> list[str]:
    return ["data=labelled", f"data.path={root / 'table.csv'}", "objective=aux_lm"]


@pytest.fixture(scope="module")
def pretrained(run: Run, root: Path) -> Path:
    run("pretrained", "data=text", f"data.path={root / 'text.txt'}", "trainer.max_steps=5")
    return root / "pretrained"


@pytest.fixture(scope="module")
def tuned(run: Run, labelled: list[str], pretrained: Path, root: Path) -> Path:
    run("tuned", *labelled, f"init_from={pretrained}", "trainer.max_steps=4")
    return root / "tuned"


STILL = ("optimizer.lr=0", "trainer.max_steps=1")


@pytest.fixture(scope="module")
def scratch(run: Run, labelled: list[str], root: Path) -> Path:
    """A run whose weights are its initial ones."""
    run("scratch", *labelled, *STILL)
    return root / "scratch"


@pytest.mark.parametrize("layers", [-1, 0, 2, 3, None])
def test_transfer_layers_loads_embeddings_and_the_first_blocks(
    layers: int | None, run: Run, labelled: list[str], pretrained: Path, scratch: Path, root: Path
) -> None:
    run(
        f"taken-{layers}",
        *labelled,
        *STILL,
        f"init_from={pretrained}",
        f"objective.transfer_layers={'null' if layers is None else layers}",
    )
    pretrained_weights, random, actual = newest(pretrained), newest(scratch), newest(root / f"taken-{layers}")
    whole = layers in (3, None)
    for name, tensor in actual.items():
        block = int(name.split(".")[1]) if name.startswith("blocks.") else None
        from_run = (
            block < layers if block is not None and layers is not None else whole or (layers != -1 and name[:3] in ("wte", "wpe"))
        )
        expected = pretrained_weights[name] if from_run else random[name]
        assert torch.equal(tensor[: len(expected)] if name == "wte.weight" else tensor, expected), name
    assert torch.equal(actual["wte.weight"][257:], random["wte.weight"][257:])  # the three added tokens get new rows
    assert len(pretrained_weights["wte.weight"]) == 257
    assert len(actual["wte.weight"]) == 260


def test_transfer_layers_needs_init_from(run: Run, labelled: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"transfer_layers.*set init_from="):
        run("nothing", *labelled, "objective.transfer_layers=1", "trainer.max_steps=1")


def test_pretraining_can_start_from_a_fine_tuned_model(run: Run, tuned: Path, root: Path) -> None:
    words = ["data=text", f"data.path={root / 'text.txt'}", "trainer.max_steps=1", "optimizer.lr=0"]
    run("back", f"init_from={tuned}", *words)
    tuned_weights, back = newest(tuned), newest(root / "back")
    assert len(back["wte.weight"]) == 257
    for name, tensor in back.items():
        assert torch.equal(tensor, tuned_weights[name][: len(tensor)]), name


def test_a_loaded_fine_tuned_model_has_the_vocabulary_of_its_tokenizer(tuned: Path) -> None:
    model, tokenizer = load(str(tuned))
    assert model.vocabulary == tokenizer.size == 257
    assert model.logits(model(torch.zeros(1, 3, dtype=torch.long))).shape == (1, 3, 257)


def test_a_checkpoint_contains_labels_and_head(tuned: Path) -> None:
    trained = load_objective(str(tuned))
    assert trained.objective.labels == ["even", "odd"]
    assert trained.objective.task == "classification"
    assert trained.model.vocabulary == 260
    assert isinstance(trained.objective, AuxLM)
    assert torch.equal(trained.objective.head.weight, newest(tuned, "objective")["head.weight"])


def test_fine_tuning_again_keeps_the_added_tokens(run: Run, labelled: list[str], tuned: Path, root: Path) -> None:
    run("second", *labelled, f"init_from={tuned}", "optimizer.lr=0", "trainer.max_steps=1")
    assert torch.equal(newest(root / "second")["wte.weight"], newest(tuned)["wte.weight"])


def test_a_stopped_fine_tuning_run_resumes_bit_for_bit(run: Run, labelled: list[str], pretrained: Path, root: Path) -> None:
    words = [*labelled, f"init_from={pretrained}", "model.dropout=0.1", "optimizer.schedule.shape=constant"]
    run("whole", *words, "trainer.max_steps=8")
    run("stopped", *words, "trainer.max_steps=5")  # stops within the second epoch
    run("stopped", *words, "trainer.max_steps=8")
    for file in ("model", "objective"):
        one, other = newest(root / "whole", file), newest(root / "stopped", file)
        assert one.keys() == other.keys()
        for name, tensor in one.items():
            assert torch.equal(tensor, other[name]), name


def test_a_probe_does_not_change_the_model(run: Run, labelled: list[str], pretrained: Path, root: Path) -> None:
    words = ["objective=probe", "objective.examples=4", "optimizer.weight_decay=0.1", "trainer.max_steps=6"]
    run("probe", *labelled[:2], *words, f"init_from={pretrained}")
    before, after = newest(pretrained), newest(root / "probe")
    assert before.keys() == after.keys()
    for name, tensor in after.items():
        assert torch.equal(tensor, before[name]), name
    start = newest(root / "probe", "objective")["head.weight"]
    assert float(start.abs().max()) > 0.03  # six steps of about 0.01 from initial weights N(0, 0.02)


@pytest.mark.parametrize(
    ("source", "task", "metric", "outputs", "said"),
    [
        ("movie_reviews", "classification", "accuracy", 2, "classification with 2 labels (negative, positive; F1 of positive)"),
        ("story_completion", "multiple_choice", "accuracy", 1, "multiple choice of 2 options"),
        ("country_facts", "entailment", "accuracy", 3, "entailment with 3 labels (contradiction, entailment, neutral; mean F1)"),
        ("country_facts", "similarity", "accuracy", 3, "similarity with 3 labels (contradiction, entailment, neutral; mean F1)"),
        ("country_pairs", "regression", "pearson", 1, "regression of scores"),
    ],
)
def test_every_task_trains_on_its_embedded_data_set(
    source: str, task: str, metric: str, outputs: int, said: str, run: Run, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = f"{source}_{task}"
    result = run(folder, "objective=aux_lm", f"objective.task={task}", f"data={source}", "trainer.max_steps=3")
    trained = load_objective(str(root / folder))
    assert trained.objective.task == task
    assert trained.objective.head.weight.shape == (outputs, 16)
    assert result["val_loss"] > 0
    header, *_, last = (root / folder / "metrics.csv").read_text().splitlines()
    assert f"val/{metric}" in header.split(",")
    assert last
    begin, end = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("training: ", "step 3/3 "))]
    assert f", {said}, " in begin  # the start line describes the task, the end line the metrics
    assert f"{metric} {result[f'val_{metric}']:.4f} (95%: {result[f'val_{metric}_low']:.4f} to " in end
