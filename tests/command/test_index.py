"""`gptkit index` indexes the training text of a run and names the documents that contain parts of a text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gptkit.attention import DenseAttentionConfig
from gptkit.data import PromptsConfig, TextConfig
from gptkit.model import GPTConfig
from gptkit.objective import PPOConfig
from tests.command_line import GptkitCommand

SPEECH = "Four score and seven years ago our fathers brought forth on this continent a new nation"


@pytest.fixture
def run(in_folder: Path, untrained_run: Callable[..., Path]) -> Path:
    """A run whose training text has twenty documents, the speech among them."""
    lines = [{"text": f"document {number} " + " ".join(f"w{number}x{k}" for k in range(20))} for number in range(20)]
    lines[3] = {"text": f"{SPEECH}, conceived in liberty."}
    Path("text.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = GPTConfig(layers=1, width=8, heads=1, context=16)
    return untrained_run(Path("runs/x"), model=model, attention=DenseAttentionConfig(), data=TextConfig(path=["text.jsonl"]))


def test_build_and_look_up(gptkit_command: GptkitCommand, run: Path) -> None:
    done = gptkit_command("index", "runs/x", "to=indexes/x")
    assert done.status == 0, done.err
    heading, *lengths = done.out.splitlines()
    assert heading.startswith("indexes/x: 19 documents, ")
    assert [line.split(":")[0] for line in lengths] == ["  N =  8", "  N = 13"]
    assert "100.0% are found" in lengths[0]

    Path("item.txt").write_text(f"He said: {SPEECH.upper()}!")
    found = gptkit_command("index", "to=indexes/x", "text=@item.txt")
    assert found.out.splitlines()[:2] == [
        "N = 8: dirty; 9 of 11 N-grams (81.8%) occur in the training text",
        "       9 in document 3 of data (tokens 363 to 474)",
    ]
    plain = json.loads(gptkit_command("index", "to=indexes/x", f"text={SPEECH}", "n=13", "format=json").out)
    assert (plain["status"], plain["share"], plain["longest"]["words"]) == ("dirty", 1.0, 16)
    assert plain["documents"][0]["document"] == {"source": "data", "number": 3, "tokens": [363, 474]}
    assert gptkit_command("index", "to=indexes/x", "text=one two", "n=8").out == (
        "N = 8: undecided, since the text has 2 words, fewer than 8\n"
    )


def test_held_out_documents_are_not_in_the_index(gptkit_command: GptkitCommand, run: Path) -> None:
    gptkit_command("index", "runs/x", "to=x", "n=8")
    lines = [json.loads(line)["text"] for line in Path("text.jsonl").read_text().splitlines()]
    found = [json.loads(gptkit_command("index", "to=x", f"text={text}", "format=json").out)["status"] for text in lines]
    assert found.count("clean") == 1
    assert found[-1] == "clean"


def test_the_same_command_on_a_finished_index(gptkit_command: GptkitCommand, run: Path) -> None:
    gptkit_command("index", "runs/x", "to=x", "n=[8,5]")
    before = {path.name: path.read_bytes() for path in Path("x").iterdir()}
    again = gptkit_command("index", "runs/x", "to=x", "n=[8,5]")
    assert again.status == 0
    assert again.out.startswith("x is complete; nothing is left to do: 19 documents")
    assert {path.name: path.read_bytes() for path in Path("x").iterdir()} == before
    gptkit_command("index", "runs/x", "to=y", "n=[8,5]")
    assert {path.name: path.read_bytes() for path in Path("y").iterdir()} == before
    other = gptkit_command("index", "runs/x", "to=x", "n=13")
    assert (other.status, other.error_line) == (
        2,
        "gptkit: to=x was built with n=[5,8]; choose another folder, or remove it to build it again",
    )
    Path("text.jsonl").write_text('{"text": "other text, of more than eight words, for another index"}\n' * 30)
    changed = gptkit_command("index", "runs/x", "to=x", "n=[8,5]")
    assert (changed.status, changed.error_line) == (
        2,
        "gptkit: to=x is the index of another training text; choose another folder, or remove it",
    )


def test_records_and_several_runs(gptkit_command: GptkitCommand, run: Path, untrained_run: Callable[..., Path]) -> None:
    prompts = [{"prompt": f"prompt {number} " + " ".join(f"p{number}x{k}" for k in range(9))} for number in range(20)]
    Path("prompts.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
    model = GPTConfig(layers=1, width=8, heads=1, context=16)
    data = PromptsConfig(path=["prompts.jsonl"])
    untrained_run(
        Path("runs/y"), model=model, attention=DenseAttentionConfig(), data=data, objective=PPOConfig(), init_from="runs/x"
    )
    alone = gptkit_command("index", "runs/y", "to=y", "n=8")
    assert alone.status == 0, alone.err
    assert alone.out.splitlines()[0].startswith("y: 19 documents")
    assert alone.out.splitlines()[-1] == "runs/y started from runs/x, whose training text is not in this index"
    both = gptkit_command("index", "runs/x", "runs/y", "to=both", "n=8")
    assert both.out.splitlines()[0].startswith("both: 38 documents")
    found = json.loads(gptkit_command("index", "to=both", f"text={prompts[0]['prompt']}", "format=json").out)
    assert found["documents"][0]["document"] == {"source": "runs/y: data", "number": 0, "tokens": None}


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["to=x"], 2, "set run=<run> to build an index, or text=<a text> to look it up in a finished index"),
        (["to=x", "text=a"], 2, "x contains no index; build one: gptkit index <run> to=x"),
        (["runs/x", "to=x", "n=1"], 2, "n=1 must be a whole number from 2 to 64, or a list of such numbers"),
        (["runs/x", "to=x", "n=[8,8]"], 2, "n=[8, 8] must be different numbers, at least one"),
        (["runs/x", "to=runs"], 2, "to=runs: already exists and is not an index; choose a new or empty folder"),
        (["runs/z", "to=x"], 1, "runs/z: there is no such folder. Did you mean runs/x?"),
        (["hf:gpt2", "to=x"], 2, "run=hf:gpt2: its training text is unknown; name a run of gptkit train"),
        (["runs/x", "to=x", "n=40"], 1, "n=40: no training document has 40 words; choose a smaller n"),
        (["runs/x", "to=x", "text=@none"], 2, "text=@none: none cannot be read: No such file or directory"),
    ],
)
def test_bad_input(gptkit_command: GptkitCommand, run: Path, words: list[str], status: int, message: str) -> None:
    done = gptkit_command("index", *words)
    assert (done.status, done.error_line) == (status, f"gptkit: {message}")
    assert not Path("x").exists()
