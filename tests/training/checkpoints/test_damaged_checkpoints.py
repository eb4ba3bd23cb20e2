"""Checkpoints with damaged or forged files: one line names the file."""

import logging
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gptkit.errors import CheckpointError, ConfigError
from gptkit.training.checkpoints.checkpoint import latest_checkpoint, read_checkpoint, recover_unfinished
from gptkit.training.checkpoints.config_file import read_mapping
from gptkit.training.checkpoints.load import initial_settings, load, load_objective, run_settings
from gptkit.training.checkpoints.manifest import describe_files
from gptkit.training.checkpoints.retention import list_checkpoints
from gptkit.training.checkpoints.save import write_checkpoint
from tests.training.checkpoints.forged_checkpoints import FILE, SETTINGS, folder_of, forge, newest, put

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
CONFIGS = {
    "alias bomb": BOMB,
    "python tag": "model: !!python/object/apply:os.system ['touch executed']\n",
    "key twice": "seed: 1\nseed: 2\n",
    "deep": "[" * 50_000,
    "no mapping": "- a\n- b\n",
    "number keys": "1: 2\n",
    "part a list": "model: [gpt]\n",
    "part without name": "model: {layers: 2}\n",
    "callback a text": "callback: spike\n",
    "init_from a list": "init_from: [a]\n",
    "no parts": "seed: 0\n",
    "no date": "seed: 2024-99-99\n",
    "unclosed": "model: {name: gpt\n",
    "control character": "model: \x07\n",
}


@pytest.mark.parametrize("case", CONFIGS)
def test_invalid_config_files_are_named(run: Path, case: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = folder_of(run, 3)
    (folder / "config.yaml").write_text(CONFIGS[case])
    forge(folder)
    assert "config.yaml: " in newest(run, caplog)
    if case != "no parts":
        with pytest.raises(CheckpointError, match=r"config\.yaml: (is not|does not hold|is nested|holds)") as caught:
            read_mapping(folder / "config.yaml")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["seed: abc", "tokens: [1]", "batch: 3", "val: {every: often}", "trainer: 5", "compile: {a: 1}"])
def test_config_values_of_the_wrong_type_are_named(run: Path, line: str) -> None:
    folder = folder_of(run, 3)
    key = line.partition(":")[0]
    text = (folder / "config.yaml").read_text()
    content = "\n".join(row for row in text.splitlines() if not row.startswith(key))
    kept = content if key in ("seed", "tokens", "compile", "trainer") else _without(text, key)
    (folder / "config.yaml").write_text(f"{kept}\n{line}\n")
    forge(folder)
    with pytest.raises(ConfigError, match=rf"config\.yaml: {key}"):
        _ = read_checkpoint(folder).settings


def _without(text: str, key: str) -> str:
    import yaml

    return str(yaml.safe_dump({name: value for name, value in yaml.safe_load(text).items() if name != key}))


def test_folders_with_other_names_are_not_checkpoints(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = run / "checkpoints"
    (folder / "step-99999999").write_text("a file")
    shutil.copytree(folder_of(run, 3), folder / "step-00000009")
    shutil.copytree(folder_of(run, 3), folder / ("step-" + "\N{ARABIC-INDIC DIGIT ONE}" * 8))
    shutil.copytree(folder_of(run, 3), folder / "step-000000011")
    (folder / "step-00000012").symlink_to("step-00000012")
    with caplog.at_level(logging.WARNING, "gptkit"):
        assert latest_checkpoint(run) == folder_of(run, 3)
    named = [record.getMessage().partition("step-")[2][:8] for record in caplog.records]
    assert named == ["99999999", "00000012", "00000009"]


@pytest.mark.parametrize("name", [".writing-step-00000004", ".old-step-00000004"])
@pytest.mark.parametrize("whole", [True, False])
def test_target_of_a_link_is_not_removed(run: Path, tmp_path: Path, name: str, whole: bool) -> None:
    outside = Path(shutil.copytree(folder_of(run, 3), tmp_path / "outside"))
    forge(outside, put("step", value=4))
    if not whole:
        (outside / "state.pt").unlink()
    before = describe_files(outside)
    (run / "checkpoints" / name).symlink_to(outside, target_is_directory=True)
    recover_unfinished(run)
    assert describe_files(outside) == before
    assert [path.name for path in list_checkpoints(run)] == ["step-00000003", "step-00000002", "step-00000001"]
    (run / "checkpoints" / name).symlink_to(outside, target_is_directory=True)
    (run / "checkpoints" / "step-00000004").symlink_to(outside, target_is_directory=True)
    tokenizer = read_checkpoint(folder_of(run, 3)).tokenizer
    common: dict[str, Any] = {
        "objective_state": None,
        "state": {},
        "tokenizer": tokenizer,
        "settings": SETTINGS,
        "val_loss": None,
        "value_to_minimize": None,
    }
    write_checkpoint(run, step=4, model_state={"a": torch.zeros(1)}, keep=1, **common)
    assert describe_files(outside) == before
    assert not (run / "checkpoints" / "step-00000004").is_symlink()


def test_damaged_manifest_of_the_best_checkpoint_is_reported_by_every_reader(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder_of(run, 2) / "manifest.json").write_text("{")
    wants: list[Callable[[str], Any]] = [load, load_objective, run_settings, initial_settings]
    for want in wants:
        from gptkit.training.reporting.fault_tolerance import forget_warnings

        forget_warnings()
        caplog.clear()
        with caplog.at_level(logging.WARNING, "gptkit"):
            want(str(run))
        (message,) = [record.getMessage() for record in caplog.records]
        assert "step-00000002/manifest.json" in message
        assert message.endswith("using step-00000001 instead")
    assert next(load(str(run))[0].parameters()).unique().tolist() == [1.0]


def test_settings_and_weights_come_from_the_same_checkpoint(run: Path) -> None:
    (folder_of(run, 2) / "model.safetensors").write_bytes(b"torn")
    for step in (1, 2):
        folder = folder_of(run, step)
        config = folder / "config.yaml"
        config.write_text(config.read_text().replace("seed: 0", f"seed: {step}"))
        if step == 1:
            forge(folder)
        else:
            forge(folder, put(*FILE, "sha256", value="0" * 64))
    assert run_settings(str(run))["seed"] == 1


def test_file_named_checkpoints_is_reported(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").touch()
    with pytest.raises(CheckpointError, match=r"checkpoints: is a file, and should be the folder of the run's checkpoints"):
        latest_checkpoint(tmp_path)
    (tmp_path / "checkpoints").unlink()
    (tmp_path / "checkpoints").symlink_to("absent")
    with pytest.raises(CheckpointError, match="is a broken link"):
        latest_checkpoint(tmp_path)


def test_checkpoint_files_follow_the_umask(intact: Path, tmp_path: Path) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder_of(intact, 1).rglob("*") if path.is_file()}
    assert len(modes) == 1
