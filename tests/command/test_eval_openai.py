"""`gptkit eval checkpoint=openai:...`: a server gives the results of its model, and bad input is one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gptkit.attention import DenseAttentionConfig
from gptkit.model import GPTConfig
from gptkit.training.checkpoints.load import load
from tests.command_line import GptkitCommand
from tests.openai_server import OpenAIServer, serve

QUESTIONS = [{"query": f"number {each}", "choices": ["one", "another", "none"], "gold": each % 3} for each in range(12)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, untrained_run: Callable[..., Path]) -> Path:
    root = tmp_path_factory.mktemp("server")
    model = GPTConfig(layers=1, heads=2, width=16, context=96)
    untrained_run(root / "run", model=model, attention=DenseAttentionConfig())
    (root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    return root


@pytest.fixture
def server(folder: Path) -> Iterator[OpenAIServer]:
    with serve(*load(str(folder / "run"))) as running:
        yield running


@pytest.mark.parametrize("words", [("fewshot.k=2", "openai.tokenizer=RUN"), ()])
def test_results_are_those_of_the_model(
    folder: Path, server: OpenAIServer, gptkit_command: GptkitCommand, tmp_path: Path, words: tuple[str, ...]
) -> None:
    task = ("task=choice", f"data.path={folder / 'questions.jsonl'}", "task.boundary=joint", "task.prefix=empty", "format=json")
    keys = [word.replace("RUN", str(folder / "run")) for word in words]
    remote = gptkit_command("eval", *task, f"checkpoint=openai:{server.url}", f"to={tmp_path / 'remote'}", *keys)
    assert remote.status == 0, remote.err
    local = gptkit_command("eval", *task, f"checkpoint={folder / 'run'}", f"to={tmp_path / 'local'}", *words[:1])
    assert json.loads(remote.out)["scores"] == json.loads(local.out)["scores"]
    lines = [
        [json.loads(line) for line in (tmp_path / name / "items.jsonl").read_text().splitlines()] for name in ("remote", "local")
    ]
    by_item: list[dict[str, Any]] = [{line["item"]: line for line in each} for each in lines]
    assert by_item[0].keys() == by_item[1].keys()
    for name, line in by_item[0].items():
        for one, other in zip(line["answers"], by_item[1][name]["answers"], strict=True):
            assert one["log_prob"] == pytest.approx(other["log_prob"], abs=1e-4)
            assert one["tokens"] == other["tokens"]
    results = json.loads((tmp_path / "remote" / "results.json").read_text())
    assert results["checkpoint"] == f"openai:{server.url}"
    assert results["protocol"]["model"] == "small"
    asked = len(server.requests)
    again = gptkit_command("eval", *task, f"checkpoint=openai:{server.url}", f"to={tmp_path / 'remote'}", *keys)
    assert again.out == remote.out
    assert len(server.requests) == asked


def test_tasks_that_generate(server: OpenAIServer, folder: Path, gptkit_command: GptkitCommand) -> None:
    task = ("task=arithmetic", "task.kinds=[2D+]", "task.examples=5", "format=json")
    outcome = gptkit_command("eval", *task, f"checkpoint=openai:{server.url}")
    assert outcome.status == 0, outcome.err
    assert json.loads(outcome.out)["items"] == 5


@pytest.mark.parametrize(
    ("words", "status", "problem"),
    [
        (("checkpoint=openai:localhost:1",), 2, "needs an address, such as checkpoint=openai:http://localhost:8000/v1"),
        (("checkpoint=openai:URL", "openai.model=large"), 2, "has no model 'large'. It serves small"),
        (("checkpoint=openai:http://127.0.0.1:9/v1", "openai.retries=0"), 1, "the server cannot be reached"),
        (
            ("checkpoint=openai:URL", "task=alignment_tax", "against=runs/x"),
            2,
            "is a server, and this needs the weights of the model",
        ),
        (("checkpoint=runs/x", "openai.model=small"), 2, "openai has settings of a server"),
        (("checkpoint=openai:URL", "openai.context=1"), 2, "openai.context=1 must be at least 4"),
    ],
)
def test_bad_input_is_one_line(
    server: OpenAIServer, gptkit_command: GptkitCommand, words: tuple[str, ...], status: int, problem: str
) -> None:
    outcome = gptkit_command("eval", "task=arithmetic", *(word.replace("URL", server.url) for word in words))
    assert (outcome.status, problem in outcome.err) == (status, True), outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_server_without_echo_names_the_tasks_that_need_none(
    server: OpenAIServer, folder: Path, gptkit_command: GptkitCommand
) -> None:
    server.failures = [lambda handler, body: bool(body) and handler.refuse(400, "echo is not supported")]
    words = ("task=choice", f"data.path={folder / 'questions.jsonl'}", f"checkpoint=openai:{server.url}")
    outcome = gptkit_command("eval", *words)
    assert outcome.status == 1
    assert "which this task needs; tasks that generate text do not: " in outcome.err
    assert "arithmetic" in outcome.err


def test_several_samples_of_a_server(server: OpenAIServer, gptkit_command: GptkitCommand) -> None:
    task = ("task=arithmetic", "task.kinds=[2D+]", "task.examples=3", "task.temperature=1", "samples=3", "format=json")
    outcome = gptkit_command("eval", *task, f"checkpoint=openai:{server.url}")
    assert outcome.status == 0, outcome.err
    assert list(json.loads(outcome.out)["scores"]) == ["accuracy", "pass@1", "pass@3", "maj@3"]
    assert len({request["seed"] for request in server.requests}) == 9


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("samples=3",), "greedy decoding always generates the same one; set task.temperature"),
        (("pass_at=[1,10]",), "pass_at=10 needs at least so many samples"),
        (("samples=0",), "samples=0 must be at least 1"),
    ],
)
def test_samples_that_are_refused(
    server: OpenAIServer, gptkit_command: GptkitCommand, words: tuple[str, ...], problem: str
) -> None:
    outcome = gptkit_command("eval", "task=arithmetic", f"checkpoint=openai:{server.url}", *words)
    assert (outcome.status, problem in outcome.err) == (2, True), outcome.err
