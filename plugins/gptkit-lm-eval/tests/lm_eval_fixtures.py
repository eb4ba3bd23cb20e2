"""Fixtures for all tests: files of questions, task files of the harness, and a small model. No test uses the network."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="gptkit-lm-eval-tests-")
os.environ["GPTKIT_CACHE"] = os.path.join(os.environ["HF_HOME"], "gptkit")

import json
import random

import pytest
import transformers
import yaml

atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)
transformers.utils.logging.disable_progress_bar()

TEXT = "the cat sat on the mat , and the old dog sat there , too . \n"
WORDS = TEXT.split()


def some_words(draw: random.Random, least: int, most: int) -> str:
    return " ".join(draw.choices(WORDS, k=draw.randrange(least, most)))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty rows of each shape, in the published form, and a text that is longer than the context of the models."""
    folder, draw = tmp_path_factory.mktemp("files"), random.Random(0)
    rows: dict[str, list[dict[str, Any]]] = {"lambada_openai": [], "piqa": [], "winograd_wsc": []}
    for number in range(20):
        context = some_words(draw, 3, 40)
        rows["lambada_openai"].append({"context": context, "continuation": draw.choice(WORDS)})
        options = [some_words(draw, 1, 6) for _ in range(3)]
        query = f"Émile: {context}" + ("\n" if number % 3 == 0 else "")
        rows["piqa"].append({"query": query, "choices": options, "gold": draw.randrange(3)})
        starts = [f"{context} {word}" for word in ("cat", "dog")]
        rows["winograd_wsc"].append({"context_options": starts, "continuation": some_words(draw, 1, 5), "gold": number % 2})
    for name, some in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    (folder / "text.txt").write_text(" ".join(some_words(draw, 5, 12) + " .\n" for _ in range(150)))
    return folder


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of random weights with its tokenizer, as transformers saves them."""
    import lm_eval_equality

    folder = tmp_path_factory.mktemp("gpt2")
    lm_eval_equality.random_gpt2(folder, TEXT * 20, size=320, width=32, context=64)
    return folder


@pytest.fixture
def write_task(tmp_path: Path, files: Path) -> Callable[..., Path]:
    """Return a function that writes a task file of the harness over one of the files, and returns its folder."""

    def write(name: str, file: str = "piqa", code: str = "", **changes: Any) -> Path:
        folder = tmp_path / "tasks"
        folder.mkdir(exist_ok=True)
        content = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"validation": str(files / f"{file}.jsonl")}},
            "validation_split": "validation",
            "output_type": "multiple_choice",
            "doc_to_text": "query",
            "doc_to_target": "gold",
            "doc_to_choice": "choices",
            **changes,
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content) + code)
        return folder

    return write
