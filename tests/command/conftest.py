"""Untrained and fine-tuned runs for the tests of commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.command.prediction_runs import TEXTS, TINY


@pytest.fixture(scope="session")
def untrained_run() -> Callable[..., Path]:
    """`untrained_run(folder, model=..., attention=..., change=...)`: a run over bytes with one checkpoint of random weights.

    `change(model)` may change the weights before they are written. Other settings of the run are passed by name.
    """
    from gptkit.command import TrainCommand
    from gptkit.data import TextConfig
    from gptkit.objective import LMConfig
    from gptkit.optimizer import AdamWConfig
    from gptkit.tokenizer import BytesTokenizerConfig
    from gptkit.training.checkpoints.save import write_checkpoint

    def write(folder: Path, *, model: Any, attention: Any, change: Callable[[Any], None] | None = None, **others: Any) -> Path:
        parts = {
            "objective": LMConfig(),
            "tokenizer": BytesTokenizerConfig(),
            "data": TextConfig(path=["unused"]),
            "optimizer": AdamWConfig(),
        }
        settings = TrainCommand(model=model, attention=attention, **(parts | others))
        torch.manual_seed(0)
        tokenizer = settings.tokenizer.build(texts=[])
        built = model.build(attention=attention, vocabulary=tokenizer.size)
        if change is not None:
            change(built)
        write_checkpoint(
            folder,
            step=1,
            tokenizer=tokenizer,
            settings=settings,
            keep=0,
            val_loss=None,
            value_to_minimize=None,
            model_state=built.state_dict(),
            objective_state=None,
            state={},
        )
        return folder

    return write


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`fine_tuned(task, objective="aux_lm")`: a run of a few steps."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "classification.csv").write_text("review,stars\n" + "".join(f"{text},{text.split()[0]}\n" for text in TEXTS))
    pairs = [{"one": text, "two": text[::-1], "score": n / 4} for n, text in enumerate(TEXTS)]
    (folder / "regression.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    labelled = [{"one": text[:12], "two": text[-9:], "kind": f"k{n % 3}"} for n, text in enumerate(TEXTS)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in labelled))
    options = [{"text": text, "ends": ["x", text[:3], "yy"], "right": 1 + n % 3} for n, text in enumerate(TEXTS)]
    (folder / "multiple_choice.jsonl").write_text("".join(json.dumps(option) + "\n" for option in options))
    words = {
        "classification": ("classification.csv", "data.text=review", "data.label=stars"),
        "entailment": ("pairs.jsonl", "data.text=one", "data.pair=two", "data.label=kind"),
        "similarity": ("pairs.jsonl", "data.text=one", "data.pair=two", "data.label=kind"),
        "regression": ("regression.jsonl", "data.text=one", "data.pair=two", "data.label=score"),
        "multiple_choice": ("multiple_choice.jsonl", "data.options=ends", "data.label=right", "data.first_option=1"),
    }

    def run(task: str, objective: str = "aux_lm") -> Path:
        name, *columns = words[task]
        run_folder = folder / f"{objective}_{task}"
        if not run_folder.exists():
            data = (f"objective={objective}", "data=labelled", f"data.path={folder / name}", f"objective.task={task}", *columns)
            end = ("trainer.max_steps=3", "samples.prompts=[]", "val.fraction=0.2", f"hydra.run.dir={run_folder}")
            import gptkit

            gptkit.run(gptkit.compose("train", [*data, *TINY, *end]))
        return run_folder

    return run


@pytest.fixture
def predict(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str, dict[str, float]]]:
    def run(checkpoint: Path, input: Path, **settings: Any) -> tuple[str, str, dict[str, float]]:
        from gptkit.command import PredictCommand

        capsys.readouterr()
        metrics = PredictCommand(checkpoint=str(checkpoint), input=str(input), **({"precision": "fp32"} | settings)).execute(
            checkpoint
        )
        captured = capsys.readouterr()
        return captured.out, captured.err, metrics

    return run
