from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gptkit.attention import BandedAttentionConfig
from gptkit.command import GenerateCommand
from gptkit.errors import CheckpointError, ConfigError, DataError
from gptkit.model import GPTConfig
from tests.command_line import GptkitCommand


@pytest.fixture(scope="module")
def run_folder(untrained_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of an untrained model whose logits are far apart, so that rounding decides nothing."""

    @torch.no_grad()
    def spread(model: Any) -> None:
        for name, parameter in model.named_parameters():
            parameter.add_((0.6 if name.startswith(("wte", "wpe", "head")) else 0.2) * torch.randn_like(parameter))
        model.head.weight[128:] = 0  # plain characters, and a text that never ends by itself

    model = GPTConfig(layers=2, heads=2, width=16, context=32, tied=False)
    return untrained_run(tmp_path_factory.mktemp("run"), model=model, attention=BandedAttentionConfig(window=6), change=spread)


def printed(capsys: pytest.CaptureFixture[str], run_folder: Path, **settings: Any) -> Any:
    capsys.readouterr()
    result = GenerateCommand(checkpoint=str(run_folder), **{"max_new_tokens": 8, "precision": "fp32", **settings}).execute(
        run_folder
    )
    return capsys.readouterr().out, result


def test_single_text_is_the_prompt_and_its_continuation(capsys: pytest.CaptureFixture[str], run_folder: Path) -> None:
    out, ((text,),) = printed(capsys, run_folder, prompt="To be", temperature=0.0)
    assert out == "To be" + text.text + "\n"
    assert len(text.tokens) == 8
    assert printed(capsys, run_folder, prompt="To be", temperature=0.0, stream=True)[0] == out


def test_several_texts_are_separated_and_streaming_prints_the_same(capsys: pytest.CaptureFixture[str], run_folder: Path) -> None:
    out, (texts,) = printed(capsys, run_folder, prompt="a", samples=3, seed=4)
    assert out == f"\n{'-' * 40}\n".join("a" + text.text for text in texts) + "\n"
    assert printed(capsys, run_folder, prompt="a", samples=3, seed=4, stream=True)[0] == out
    assert printed(capsys, run_folder, prompt="a", samples=3, seed=4, batch=2)[0] == out
    assert printed(capsys, run_folder, prompt="a", samples=3, seed=5)[0] != out


def test_json_has_one_line_per_continuation(capsys: pytest.CaptureFixture[str], run_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("one\n\nzwei ü\r\n" + "x" * 30 + "\n", encoding="utf-8")
    out, texts = printed(capsys, run_folder, prompts=str(file), samples=2, format="json", batch=3)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["prompt"] for line in lines] == ["one", "one", "zwei ü", "zwei ü", "x" * 30, "x" * 30]
    assert [line["finish_reason"] for line in lines] == ["length"] * 4 + ["context"] * 2
    assert [line["tokens"] for line in lines] == [8] * 4 + [2] * 2
    assert [line["text"] for line in lines] == [text.text for each in texts for text in each]


def test_prompts_are_read_unchanged_from_files_and_standard_input(
    capsys: pytest.CaptureFixture[str], run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = " Don't (stop), 100% ~ü\n"
    file = tmp_path / "prompt.txt"
    file.write_bytes(prompt.encode())
    expected = printed(capsys, run_folder, prompt=prompt, max_new_tokens=3)[0]
    assert printed(capsys, run_folder, prompt=f"@{file}", max_new_tokens=3)[0] == expected
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(prompt.encode())))
    assert printed(capsys, run_folder, prompt="-", max_new_tokens=3)[0] == expected
    lines = tmp_path / "prompts.jsonl"
    lines.write_text(json.dumps({"prompt": prompt, "id": 7}) + "\n")
    assert printed(capsys, run_folder, prompts=str(lines), max_new_tokens=3)[0] == expected


def test_text_ends_before_a_stop_string(capsys: pytest.CaptureFixture[str], run_folder: Path) -> None:
    _, ((whole,),) = printed(capsys, run_folder, prompt="a", temperature=0.0)
    word = whole.text[4:6]
    _, ((text,),) = printed(capsys, run_folder, prompt="a", temperature=0.0, stop=[word])
    assert (text.text, text.finish_reason) == (whole.text[: whole.text.index(word)], "stop")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"prompt": "x" * 33}, DataError, "prompt 1 has 33 tokens, more than the model's context of 32"),
        ({"prompt": "@nowhere.txt"}, ConfigError, "prompt=@nowhere.txt: nowhere.txt cannot be read"),
        ({"prompts": "nowhere.txt"}, ConfigError, "prompts=nowhere.txt: nowhere.txt cannot be read"),
        ({"prompt": "a", "prompts": "bad.jsonl"}, ConfigError, "both set"),
        ({"prompts": "bad.jsonl"}, DataError, "bad.jsonl:2: the line is not JSON"),
        ({"prompts": "field.jsonl"}, DataError, "field.jsonl:3: there is no text in the field prompt"),
        ({"prompts": "latin.txt"}, DataError, "latin.txt: not UTF-8 text at byte 2"),
        ({"prompts": "empty.txt"}, DataError, "empty.txt: there is no prompt"),
        ({"stop": ["a", ""]}, ConfigError, "stop holds an empty text"),
        ({"prompt": "x" * 33}, DataError, "shorten it, or set overflow=slide to read only its end"),
        ({"prompts": "."}, ConfigError, "prompts=.: . is a folder"),
        ({"prompts": "/dev/null"}, ConfigError, "prompts=/dev/null: /dev/null is a device"),
        ({"prompts": "half.jsonl"}, DataError, "half.jsonl:1: field prompt contains half of a surrogate pair"),
        ({"checkpoint": "hf:"}, CheckpointError, "hf:: there is no such folder"),
        ({"checkpoint": "hf:empty.txt"}, CheckpointError, "hf:empty.txt: is not a folder"),
        ({"checkpoint": "/dev/null"}, CheckpointError, "/dev/null: is not a folder"),
    ],
)
def test_invalid_settings_and_files_are_named(run_folder: Path, in_folder: Path, settings: Any, error: Any, message: str) -> None:
    (in_folder / "bad.jsonl").write_text('{"prompt": "a"}\n{"prompt": \n')
    (in_folder / "field.jsonl").write_text('{"prompt": "a"}\n\n{"text": "b"}\n')
    (in_folder / "latin.txt").write_bytes(b"gr\xfcn")
    (in_folder / "empty.txt").write_text("\n\n")
    (in_folder / "half.jsonl").write_text('{"prompt": "\\ud800"}\n')
    with pytest.raises(error, match=message.replace("(", r"\(")):
        GenerateCommand(**({"checkpoint": str(run_folder)} | settings)).execute(in_folder)


def test_command_prints_texts_and_reports_errors_in_one_line(
    gptkit_command: GptkitCommand, run_folder: Path, in_folder: Path
) -> None:
    outcome = gptkit_command("generate", f"checkpoint={run_folder}", "prompt=Don't (stop), friend", "max_new_tokens=4", "seed=2")
    assert outcome.status == 0
    assert outcome.out.startswith("Don't (stop), friend")
    refused = gptkit_command("generate", f"checkpoint={run_folder}", f"prompt={'x' * 40}")
    assert (refused.status, refused.out) == (1, "")
    assert "40 tokens" in refused.error_line
    assert "context of 32" in refused.error_line
    assert not any(in_folder.iterdir())


def test_texts_ended_by_the_context_are_reported(capsys: pytest.CaptureFixture[str], run_folder: Path) -> None:
    GenerateCommand(checkpoint=str(run_folder), prompt="abc", max_new_tokens=500, samples=2).execute(run_folder)
    assert "context of 32 tokens ended 2 of 2 continuations" in capsys.readouterr().err


def test_overflow_slide_continues_past_the_context(gptkit_command: GptkitCommand, run_folder: Path) -> None:
    words = ("generate", f"checkpoint={run_folder}", f"prompt={'x' * 40}", "max_new_tokens=60", "format=json")
    outcome = gptkit_command(*words, "overflow=slide")
    assert (outcome.status, outcome.err) == (0, "")
    assert json.loads(outcome.out)["tokens"] == 60
    assert gptkit_command(*words, "overflow=crop").status == 2
