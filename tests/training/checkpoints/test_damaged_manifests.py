"""Invalid manifests and checkpoint files that are not regular files: the previous checkpoint is used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.checkpoints.forged_checkpoints import FILE, folder_of, forge, newest, put

MANIFESTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no object": lambda body: [body],
    "step negative": put("step", value=-3),
    "step true": put("step", value=True),
    "step a fraction": put("step", value=3.0),
    "step huge": put("step", value=10**30),
    "step of another": put("step", value=2),
    "files a list": put("files", value=["model.safetensors"]),
    "files empty": put("files", value={}),
    "size a text": put(*FILE, "bytes", value="12"),
    "size negative": put(*FILE, "bytes", value=-1),
    "hash short": put(*FILE, "sha256", value="abc"),
    "hash a number": put(*FILE, "sha256", value=5),
    "file a text": put(*FILE, value="x"),
    "path upward": put("files", "../../../etc/passwd", value={"bytes": 1, "sha256": "0" * 64}),
    "path absolute": put("files", "/etc/passwd", value={"bytes": 1, "sha256": "0" * 64}),
    "path of a folder": put("files", "tokenizer", value={"bytes": 1, "sha256": "0" * 64}),
    "path with NUL": put("files", "a\0b", value={"bytes": 1, "sha256": "0" * 64}),
    "parts a list": put("parts", value=[]),
    "part a text": put("parts", "model", value="gpt"),
    "part without name": put("parts", "model", value={"name": 1, "distribution": "gptkit==1"}),
    "merit a text": put("merit", value="1.0"),
    "merit no number": put("merit", value=float("nan")),
    "loss a list": put("val_loss", value=[1.0]),
    "tokenizer a number": put("tokenizer", value=1),
    "vocabulary a text": put("vocabulary", value="9"),
    "format a text": put("format", value="1"),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_manifest_with_an_invalid_field_is_named(run: Path, case: str, caplog: pytest.LogCaptureFixture) -> None:
    forge(folder_of(run, 3), MANIFESTS[case], rehash=False)
    newest(run, caplog)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 9, b"\xff\xfe", b"[" * 200_000, b'{"a":' * 100_000, b"9" * 100_000, b"null", b'{"sha256": 1']
)
def test_unreadable_manifest_is_named(run: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (folder_of(run, 3) / "manifest.json").write_bytes(content)
    assert "manifest.json: " in newest(run, caplog)


@pytest.mark.parametrize("name", ["manifest.json", "config.yaml", "model.safetensors", "state.pt"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "nothing", "gigabytes", "file above"])
def test_pipe_in_place_of_a_file_does_not_block(run: Path, name: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    path = folder_of(run, 3) / name
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "nothing":
        path.symlink_to("absent")
    elif kind == "gigabytes":
        with path.open("wb") as file:
            file.truncate(1 << 36)
    else:
        shutil.rmtree(path.parent)
        path.parent.touch()
    newest(run, caplog)
