"""The folder of an evaluation: processes that are killed lose nothing that they wrote, and other evaluations are refused."""

from __future__ import annotations

import json
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from gptkit.errors import ConfigError, DataError, GptkitError
from gptkit.evaluation.folder import EvaluationFolder, protocol_differences
from tests.evaluation.killed_evaluation import PROTOCOL, run, run_until_killed
from tests.processes import ProcessServer


@pytest.fixture(autouse=True)
def _batches_of_the_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gptkit.evaluation.model_answerer.TOKENS_PER_BATCH", 300)


def kill_at(server: ProcessServer, folder: Path, item: int, size: int) -> None:
    process = server.start(run_until_killed, folder, item, size)
    assert process.wait() == -signal.SIGKILL, process.stderr


def test_evaluation_that_is_killed_repeatedly_gives_the_same_bytes(process_server: ProcessServer, tmp_path: Path) -> None:
    run(EvaluationFolder(str(tmp_path / "whole"), PROTOCOL))
    for item, size in ((0, 0), (5, 9), (17, 38), (11, 1)):
        kill_at(process_server, tmp_path / "parts", item, size)
    assert not (tmp_path / "parts" / "results.json").exists()
    left = run(EvaluationFolder(str(tmp_path / "parts"), PROTOCOL))
    assert 0 < left < 60
    for name in ("results.json", "items.jsonl", "protocol.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_finished_evaluation_computes_nothing_again(tmp_path: Path) -> None:
    assert run(EvaluationFolder(str(tmp_path / "a"), PROTOCOL)) == 60
    before = (tmp_path / "a" / "results.json").read_bytes()
    assert run(EvaluationFolder(str(tmp_path / "a"), PROTOCOL)) == 0
    assert (tmp_path / "a" / "results.json").read_bytes() == before


def test_items_hold_requests_answers_and_scores(tmp_path: Path) -> None:
    run(EvaluationFolder(str(tmp_path / "a"), PROTOCOL))
    lines = [json.loads(line) for line in (tmp_path / "a" / "items.jsonl").read_text().splitlines()]
    assert len({line["item"] for line in lines}) == 60
    for line in lines:
        assert [request["type"] for request in line["requests"]] == ["loglikelihood"] * 3 + ["rolling"]
        for request, answer in zip(line["requests"][:3], line["answers"], strict=False):
            spaces = len(request["context"]) - len(request["context"].rstrip())
            assert len(answer["log_probs"]) == len(answer["tokens"]) == spaces + len(request["continuation"])
            assert "".join(answer["tokens"]) == request["context"][len(request["context"]) - spaces :] + request["continuation"]
            assert answer["log_prob"] == pytest.approx(sum(answer["log_probs"]))
        assert line["scores"].keys() == {"accuracy", "mean"}


def test_folder_of_another_protocol_is_refused_with_the_difference(tmp_path: Path) -> None:
    with EvaluationFolder(str(tmp_path), PROTOCOL):
        pass
    other: dict[str, Any] = {"task": {"name": "options"}, "seed": 1}
    with (
        pytest.raises(ConfigError, match=r"holds another evaluation: seed is 0 there and 1 here"),
        EvaluationFolder(str(tmp_path), other),
    ):
        pass


def test_differences_name_the_key() -> None:
    assert protocol_differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2, "d": "x"}) == [
        "a.b is 1 there and 3 here",
        'd is null there and "x" here',
    ]


def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds notes\.txt, but no evaluation"), EvaluationFolder(str(tmp_path), PROTOCOL):
        pass


def test_folder_in_use_is_refused(tmp_path: Path) -> None:
    with (
        EvaluationFolder(str(tmp_path), PROTOCOL),
        pytest.raises(ConfigError, match="another process is writing this evaluation"),
        EvaluationFolder(str(tmp_path), PROTOCOL),
    ):
        pass


def test_damaged_line_is_reported(tmp_path: Path) -> None:
    with EvaluationFolder(str(tmp_path), PROTOCOL):
        pass
    (tmp_path / "items.jsonl").write_text('{"item": 1}\n')
    with pytest.raises(DataError, match=r"items\.jsonl:1: the line is damaged"), EvaluationFolder(str(tmp_path), PROTOCOL):
        pass


def test_full_disk_is_reported_and_the_evaluation_continues_later(tmp_path: Path) -> None:
    run(EvaluationFolder(str(tmp_path / "whole"), PROTOCOL))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(GptkitError, match=r"items\.jsonl: the disk is full; free some space, then repeat the command"):
            run(EvaluationFolder(str(tmp_path / "parts"), PROTOCOL))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert 0 < run(EvaluationFolder(str(tmp_path / "parts"), PROTOCOL)) < 60
    assert (tmp_path / "parts" / "results.json").read_bytes() == (tmp_path / "whole" / "results.json").read_bytes()
