"""Checkpoints are read back bit for bit, survive killed runs and full disks, and never run code."""

import json
import logging
import pickle
import resource
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from gptkit.errors import CheckpointError
from gptkit.training.checkpoints.checkpoint import (
    best_checkpoint,
    latest_checkpoint,
    read_checkpoint,
    recover_unfinished,
)
from gptkit.training.checkpoints.config_file import read_settings, to_plain
from gptkit.training.checkpoints.retention import list_checkpoints
from tests.training.checkpoints.run_folder import SETTINGS, Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


def assert_same(a: object, b: object) -> None:
    if isinstance(a, torch.Tensor):
        assert isinstance(b, torch.Tensor)
        assert a.dtype == b.dtype
        assert torch.equal(a.view(torch.uint8) if a.dim() else a, b.view(torch.uint8) if b.dim() else b)
    elif isinstance(a, dict):
        assert isinstance(b, dict)
        assert sorted(a) == sorted(b)
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert isinstance(b, list | tuple)
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    else:
        assert a == b


def test_checkpoint_round_trip_is_bit_identical(run: Run) -> None:
    head = {"head.weight": torch.randn(3, 8).to(torch.bfloat16)}
    folder = run.save(1000, objective_state=head, val_loss=1.25)
    assert folder == run.folder / "checkpoints" / "step-00001000"
    back = read_checkpoint(folder)
    assert back.step == 1000
    assert back.val_loss == 1.25
    assert_same(dict(run.model.state_dict()), back.model_state)
    assert_same(head, back.objective_state)
    assert_same(run.state(), back.state)
    assert back.tokenizer.fingerprint == run.tokenizer.fingerprint
    assert back.settings == SETTINGS
    assert back.content == to_plain(SETTINGS)
    assert read_settings(folder / "config.yaml") == SETTINGS


def test_checkpoint_holds_the_files_of_its_manifest(run: Run) -> None:
    folder = run.save(1)
    manifest = json.loads((folder / "manifest.json").read_text())
    result = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    result.pop("manifest.json")
    assert {name: file["bytes"] for name, file in manifest["files"].items()} == result
    assert manifest["parts"]["callback.stop"]["name"] == "early_stopping"
    assert manifest["parts"]["model"]["distribution"].startswith("gptkit==")
    assert sorted(path.name for path in folder.parent.iterdir()) == ["step-00000001"]


PARTS = ["model.safetensors", "state.pt", "config.yaml", "manifest.json", "tokenizer/*"]


def one_file(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


@pytest.mark.parametrize("pattern", PARTS)
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_checkpoint_is_reported_and_the_previous_one_used(
    run: Run, pattern: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = run.save(10)
    bad = run.save(20)
    path = one_file(bad, pattern)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.unlink()
    with caplog.at_level(logging.WARNING, "gptkit"):
        assert latest_checkpoint(run.folder) == good
    (record,) = caplog.records
    assert "step-00000020" in record.getMessage()
    assert path.name in record.getMessage()
    assert "\n" not in record.getMessage()


def test_run_without_intact_checkpoint_does_not_restart(run: Run) -> None:
    for step in (1, 2):
        (run.save(step) / "model.safetensors").write_bytes(b"")
    with pytest.raises(
        CheckpointError, match=r"step-00000001.*has 0 bytes, and [0-9,]+ were written.*no other checkpoint is intact"
    ):
        latest_checkpoint(run.folder)


def test_run_without_checkpoint_has_no_latest_checkpoint(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    assert best_checkpoint(tmp_path) is None
    recover_unfinished(tmp_path)


def test_run_killed_while_writing_keeps_the_previous_checkpoint(run: Run) -> None:
    good = run.save(10)
    torn = run.save(20)
    aside = torn.with_name(".writing-step-00000020")
    torn.rename(aside)
    with (aside / "state.pt").open("r+b") as file:
        file.truncate(100)
    assert latest_checkpoint(run.folder) == good
    recover_unfinished(run.folder)
    assert [path.name for path in good.parent.iterdir()] == ["step-00000010"]


def test_run_killed_before_the_rename_keeps_the_complete_checkpoint(run: Run) -> None:
    run.save(10)
    whole = run.save(20)
    whole.rename(whole.with_name(".writing-step-00000020"))
    shutil.copytree(run.folder / "checkpoints" / "step-00000010", run.folder / "checkpoints" / ".old-step-00000005")
    recover_unfinished(run.folder)
    assert latest_checkpoint(run.folder) == whole
    assert len(list(whole.parent.iterdir())) == 2


def test_full_disk_is_reported_in_one_line_and_keeps_earlier_checkpoints(run: Run) -> None:
    good = run.save(10)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for large in ("model_state", "state"):
        parts: dict[str, Any] = {large: {"large": torch.zeros(100_000)}}
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
        try:
            with pytest.raises(
                CheckpointError, match=r"step-00000020: the disk is full.*earlier checkpoints are unchanged"
            ) as caught:
                run.save(20, keep=1, **parts)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "\n" not in str(caught.value)
        assert [path.name for path in good.parent.iterdir()] == ["step-00000010"]
        assert latest_checkpoint(run.folder) == good


def test_state_with_other_objects_is_rejected_before_writing(run: Run) -> None:
    with pytest.raises(CheckpointError, match=r"state.sampler\[1\] is a PosixPath"):
        run.save(1, state={"sampler": [1, Path("x")]})
    assert list_checkpoints(run.folder) == []


class Payload:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("name", ["state.pt", "model.safetensors"])
@pytest.mark.parametrize("zipped", [False, True])
def test_code_in_a_checkpoint_never_runs(run: Run, tmp_path: Path, name: str, zipped: bool) -> None:
    mark = tmp_path / "executed"
    folder = run.save(1)
    if zipped:
        torch.save(Payload(mark), folder / name)
    else:
        (folder / name).write_bytes(pickle.dumps(Payload(mark)))
    forge_manifest(folder)
    checkpoint = read_checkpoint(folder)
    with pytest.raises(CheckpointError, match=r"pickle.* can run any code"):
        _ = checkpoint.state if name == "state.pt" else checkpoint.model_state
    assert not mark.exists()


def forge_manifest(folder: Path) -> None:
    """Write a manifest that matches the altered files."""
    from gptkit.training.checkpoints.manifest import describe_files, read_manifest, to_json

    manifest = read_manifest(folder)
    forged = type(manifest)(**{**manifest.__dict__, "files": describe_files(folder)})
    (folder / "manifest.json").write_text(to_json(forged))


def test_missing_plugin_is_named_with_its_version(run: Run) -> None:
    folder = run.save(1)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("name: banded", "name: rotating"))
    text = (folder / "manifest.json").read_text()
    body = json.loads(text)
    forge_parts(folder, {**body["parts"], "attention": {"name": "rotating", "distribution": "gptkit-rotating==2.1"}})
    forge_manifest(folder)
    checkpoint = read_checkpoint(folder)
    assert checkpoint.part("model") == SETTINGS.model  # installed parts can still be loaded
    for read in (lambda: checkpoint.part("attention"), lambda: checkpoint.settings):
        with pytest.raises(CheckpointError, match=r"attention=rotating of gptkit-rotating==2\.1.*: pip install gptkit-rotat"):
            read()


def forge_parts(folder: Path, parts: dict[str, dict[str, str]]) -> None:
    from gptkit.training.checkpoints.manifest import read_manifest, to_json

    manifest = read_manifest(folder)
    named = {key: (part["name"], part["distribution"]) for key, part in parts.items()}
    (folder / "manifest.json").write_text(to_json(type(manifest)(**{**manifest.__dict__, "parts": named})))


def test_concurrent_reader_always_gets_an_intact_checkpoint(run: Run) -> None:
    from gptkit.training.checkpoints.load import load

    run.save(1, keep=1)
    problems: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                load(str(run.folder))
            except Exception as error:
                problems.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for step in range(2, 30):
        run.save(step, keep=1)
    done.set()
    reader.join()
    assert problems == []
