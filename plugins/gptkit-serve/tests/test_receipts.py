"""Answers are generated again from their receipts, token by token."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gptkit_serve.environment import differences
from gptkit_serve.loading import LoadedModel, default_receipts, load_for_decoding
from gptkit_serve.receipt_writer import ReceiptWriter
from gptkit_serve.receipts import CANCELLED, read_receipts

from gptkit.config.main import run_command_line
from gptkit.errors import ConfigError, DataError
from gptkit.generation.engine import Engine
from gptkit.generation.prefill import PrefixCache
from gptkit.generation.sampling import SamplingParams
from gptkit.generation.text_sequence import TextSequence

Command = Callable[..., tuple[int, str, str]]

PROMPTS = [f"{'all prompts begin alike, ' * 5}{number} {'x' * (number % 50)}" for number in range(12)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps over bytes."""
    folder = tmp_path_factory.mktemp("receipts")
    (folder / "text.txt").write_text("The cat sat on the mat. " * 400)
    words = [
        *("train", "data=text", f"data.path={folder / 'text.txt'}", "tokenizer=bytes", f"hydra.run.dir={folder / 'run'}"),
        *("model.layers=1", "model.heads=2", "model.width=16", "model.context=320", "batch.size=2", "trainer.max_steps=2"),
    ]
    assert run_command_line(words) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def loaded(run: Path) -> LoadedModel:
    return load_for_decoding(str(run))


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gptkit", *words])
        capsys.readouterr()
        status = run_command_line(list(words))
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def texts_of(loaded: LoadedModel, *, temperature: float = 1.0) -> list[TextSequence]:
    return [
        TextSequence(
            loaded.tokenizer,
            loaded.tokenizer.encode(prompt),
            SamplingParams(30, temperature=temperature, top_p=0.95, seed=2**40 + number, stop=("zq",)),
            context=loaded.model.context,
            key=(0, number % 3),
        )
        for number, prompt in enumerate(PROMPTS)
    ]


def answer_together(loaded: LoadedModel, texts: list[TextSequence]) -> Iterator[tuple[TextSequence, str]]:
    """Yield the texts, decoded as a server does, and their finish reasons."""
    engine = Engine(loaded.model, loaded.tokenizer, batch=5, chunked_prefill=True, prefixes=PrefixCache())
    for text in texts:
        engine.add(text)
    while not engine.is_idle:
        yield from ((text, chunk.finished.finish_reason) for text, chunk in engine.step() if chunk.finished is not None)
    engine.close()


@pytest.fixture
def receipts(loaded: LoadedModel, tmp_path: Path) -> Path:
    """The receipts of answers that were generated together; the answers 0, 1 and 2 share an id."""
    path = tmp_path / "receipts.jsonl"
    writer = ReceiptWriter(path, loaded.origin)
    texts = texts_of(loaded)
    for text, reason in answer_together(loaded, texts):
        number = texts.index(text)
        writer.write("cmpl-many" if number < 3 else f"cmpl-{number}", text, reason)
    writer.close()
    return path


def test_an_answer_is_the_same_when_it_is_generated_alone(receipts: Path, command: Command) -> None:
    for number in range(3, len(PROMPTS)):
        status, out, err = command("replay", f"id=cmpl-{number}", f"receipts={receipts}")
        assert (status, err) == (0, ""), err
        (receipt,) = read_receipts(receipts, f"cmpl-{number}")
        assert out.startswith(f"the same {len(receipt.tokens)} tokens: ")


def test_all_samples_of_an_id_are_compared(receipts: Path, command: Command) -> None:
    status, out, _ = command("replay", "id=cmpl-many", f"receipts={receipts}", "format=json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [(row["sample"], row["same"], row["tokens"] == row["receipt_tokens"]) for row in rows] == [
        (0, True, True),
        (1, True, True),
        (2, True, True),
    ]


def change_receipt(path: Path, id: str, change: Callable[[dict[str, Any]], None]) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if row["id"] == id:
            change(row)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_first_token_that_differs_is_shown(receipts: Path, command: Command) -> None:
    def change(row: dict[str, Any]) -> None:
        row["tokens"][2] = (row["tokens"][2] + 1) % 256

    change_receipt(receipts, "cmpl-4", change)
    status, out, err = command("replay", "id=cmpl-4", f"receipts={receipts}")
    assert status == 1
    assert out.startswith("token 3 differs: ")
    assert "1 of 1 answers with the id cmpl-4 differ" in err


def test_other_weights_are_refused(receipts: Path, command: Command) -> None:
    change_receipt(receipts, "cmpl-4", lambda row: row["origin"].update(weights="0" * 64))
    status, out, err = command("replay", "id=cmpl-4", f"receipts={receipts}")
    assert (status, out) == (1, "")
    assert "its weights are not those of the receipt" in err
    assert len(err.splitlines()) == 1


def test_another_environment_is_a_warning(receipts: Path, command: Command) -> None:
    change_receipt(receipts, "cmpl-4", lambda row: row["origin"]["environment"].update(torch="1.0", processor="abacus"))
    status, out, err = command("replay", "id=cmpl-4", f"receipts={receipts}")
    assert status == 0
    assert out.startswith("the same ")
    assert "processor: abacus then" in err
    assert "torch: 1.0 then" in err


def test_threads_and_dtype_of_the_receipt_are_used(receipts: Path, command: Command) -> None:
    change_receipt(receipts, "cmpl-4", lambda row: row["origin"]["environment"].update(threads=2))
    status, _, err = command("replay", "id=cmpl-4", f"receipts={receipts}")
    assert (status, err) == (0, "")


@pytest.mark.parametrize(
    ("id", "file", "reason"),
    [
        ("cmpl-none", "receipts.jsonl", "none of its 12 receipts has the id cmpl-none"),
        ("cmpl-4", "missing.jsonl", "cannot be read (No such file or directory)"),
    ],
)
def test_a_missing_receipt_is_one_line(receipts: Path, command: Command, id: str, file: str, reason: str) -> None:
    status, out, err = command("replay", f"id={id}", f"receipts={receipts.with_name(file)}")
    assert (status, out) == (1, "")
    assert reason in err
    assert len(err.splitlines()) == 1


def test_a_moved_model_is_named(run: Path, receipts: Path, command: Command) -> None:
    change_receipt(receipts, "cmpl-4", lambda row: row["origin"].update(checkpoint="gone"))
    assert command("replay", "id=cmpl-4", f"receipts={receipts}")[0] == 1
    assert command("replay", "id=cmpl-4", f"receipts={receipts}", f"checkpoint={run}")[0] == 0


def test_an_answer_whose_client_left_is_compared_as_far_as_it_came(loaded: LoadedModel, tmp_path: Path, command: Command) -> None:
    path = tmp_path / "receipts.jsonl"
    writer = ReceiptWriter(path, loaded.origin)
    (text, _), *_ = answer_together(loaded, texts_of(loaded)[:1])
    del text.ids[4:]
    writer.write("cmpl-left", text, CANCELLED)
    writer.close()
    status, out, _ = command("replay", "id=cmpl-left", f"receipts={path}")
    assert status == 0
    assert out.startswith("the same 4 tokens")


def test_a_line_that_a_crash_cut_off_loses_no_other(loaded: LoadedModel, receipts: Path) -> None:
    content = receipts.read_bytes()
    receipts.write_bytes(content[:-40])
    last = json.loads(content.splitlines()[-1])["id"]
    with pytest.raises(DataError):
        read_receipts(receipts, last)
    writer = ReceiptWriter(receipts, loaded.origin)
    writer.write("cmpl-next", texts_of(loaded)[0], "length")
    writer.close()
    assert read_receipts(receipts, "cmpl-next")[0].finish_reason == "length"
    assert len(read_receipts(receipts, "cmpl-many")) == 3


def test_only_the_owner_can_read_receipts(receipts: Path) -> None:
    assert stat.S_IMODE(receipts.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_is_refused(loaded: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="receipts="):
        ReceiptWriter(tmp_path / "missing" / "receipts.jsonl", loaded.origin)


def test_a_full_disk_does_not_stop_the_server(loaded: LoadedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "receipts.jsonl"
    writer = ReceiptWriter(path, loaded.origin)
    path.unlink()
    path.symlink_to("/dev/full")
    for number in range(3):
        writer.write(f"cmpl-{number}", texts_of(loaded)[0], "length")
    writer.close()
    assert writer.failures == 3
    assert "receipts are lost: the disk is full" in caplog.text


def test_receipts_are_in_the_folder_of_the_run(run: Path, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_receipts(loaded.origin.checkpoint) == run.resolve() / "receipts.jsonl"
    monkeypatch.chdir(run.parent)
    assert default_receipts(loaded.origin.checkpoint) == Path("run/receipts.jsonl")
    assert default_receipts("hf:openai-community/gpt2") == Path("receipts.jsonl")


def test_the_same_environment_has_no_differences(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = loaded.origin.environment
    assert differences(environment, environment) == []
    flags = (*environment.flags[1:], "amx_new")
    (sentence,) = differences(environment, environment.model_copy(update={"flags": flags}))
    assert sentence == f"instruction sets of the processor: now without {environment.flags[0]} and with amx_new"
    assert os.environ.get("MKL_CBWR") == environment.mkl_mode


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda row: row.update(prompt=[-5]), "prompt.0: Input should be greater than or equal to 0"),
        (lambda row: row.update(prompt=[]), "prompt: "),
        (lambda row: row.update(prompt=[1] * 400), "longer than the context"),
        (lambda row: row.update(tokens=[10**6]), "token ids that the tokenizer does not have"),
        (lambda row: row.update(sample=-1), "sample: "),
        (lambda row: row["sampling"].update(temperature=-1), "sampling.temperature: "),
        (lambda row: row["origin"]["environment"].update(dtype="load"), "origin.environment.dtype: "),
        (lambda row: row["origin"]["environment"].update(threads=0), "origin.environment.threads: "),
    ],
)
def test_a_damaged_receipt_is_one_line(
    receipts: Path, command: Command, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    change_receipt(receipts, "cmpl-4", change)
    status, out, err = command("replay", "id=cmpl-4", f"receipts={receipts}")
    assert (status, out) == (1, "")
    assert "is damaged: " in err and reason in err
    assert len(err.splitlines()) == 1


def test_a_receipt_that_a_crash_cut_off_is_not_a_silent_success(receipts: Path, command: Command) -> None:
    lines = receipts.read_bytes().splitlines(keepends=True)
    number = next(index for index, line in enumerate(lines) if b"cmpl-many" in line)
    lines[number] = lines[number][:-40] + b"\n"
    receipts.write_bytes(b"".join(lines))
    status, out, err = command("replay", "id=cmpl-many", f"receipts={receipts}")
    assert (status, out) == (1, "")
    assert f"receipts.jsonl:{number + 1}: the receipt is damaged: the line is not complete" in err
