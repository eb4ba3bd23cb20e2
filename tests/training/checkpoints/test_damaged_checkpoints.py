"""Checkpoints whose files were altered, by accident or by somebody who wants them believed: one line that names the file."""

import hashlib
import json
import logging
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gptkit.attention import DenseAttentionConfig
from gptkit.command import TrainCommand
from gptkit.data import TextConfig
from gptkit.errors import CheckpointError, ConfigError
from gptkit.model import GPTConfig
from gptkit.objective import LMConfig
from gptkit.optimizer import AdamWConfig
from gptkit.tokenizer import CharTokenizerConfig
from gptkit.training.checkpoints.checkpoint import latest_checkpoint, read_checkpoint, recover_unfinished, write_checkpoint
from gptkit.training.checkpoints.config_file import read_mapping
from gptkit.training.checkpoints.load import initial_settings, load, load_objective, run_settings
from gptkit.training.checkpoints.manifest import describe_files
from gptkit.training.checkpoints.retention import list_checkpoints

SETTINGS = TrainCommand(
    model=GPTConfig(layers=1, heads=2, width=8, context=16),
    attention=DenseAttentionConfig(),
    objective=LMConfig(),
    tokenizer=CharTokenizerConfig(),
    data=TextConfig(path="x"),
    optimizer=AdamWConfig(),
)


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Steps 1, 2, 3 whose weights are all 1, 2, 3; the second is the best, the first the next best."""
    folder = tmp_path_factory.mktemp("intact") / "run"
    tokenizer = SETTINGS.tokenizer.build(texts=["the quick brown fox"])
    model = SETTINGS.model.build(attention=SETTINGS.attention, vocabulary=tokenizer.size)
    for step, loss in ((1, 2.0), (2, 1.0), (3, 3.0)):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(step)
        write_checkpoint(
            folder,
            step=step,
            model_state=model.state_dict(),
            objective_state={},
            state={"step": step},
            tokenizer=tokenizer,
            settings=SETTINGS,
            keep=0,
            val_loss=loss,
            merit=loss,
        )
    return folder


@pytest.fixture
def run(intact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(intact, tmp_path / "run"))


def folder_of(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"step-{step:08d}"


def forge(folder: Path, change: Callable[[dict[str, Any]], Any] = lambda body: None, *, rehash: bool = True) -> None:
    """Write the manifest anew, as somebody would who wants his files believed."""
    body = json.loads((folder / "manifest.json").read_text())
    body.pop("sha256")
    if rehash:
        body["files"] = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in describe_files(folder).items()}
    changed = change(body)
    body = body if changed is None else changed
    own = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({**body, "sha256": own} if isinstance(body, dict) else body))


def put(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(body: dict[str, Any]) -> None:
        for key in keys[:-1]:
            body = body[key]
        body[keys[-1]] = value

    return change


FILE = ("files", "model.safetensors")
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


def newest(run: Path, caplog: pytest.LogCaptureFixture) -> str:
    """The warning about the newest checkpoint, in place of which the one before it is taken."""
    with caplog.at_level(logging.WARNING, "gptkit"):
        assert latest_checkpoint(run) == folder_of(run, 2)
    (message,) = [record.getMessage() for record in caplog.records]
    assert "step-00000003" in message
    assert message.endswith("using step-00000002 instead")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_manifest_that_is_wrong_in_a_field_is_named(run: Path, case: str, caplog: pytest.LogCaptureFixture) -> None:
    forge(folder_of(run, 3), MANIFESTS[case], rehash=False)
    newest(run, caplog)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 9, b"\xff\xfe", b"[" * 200_000, b'{"a":' * 100_000, b"9" * 100_000, b"null", b'{"sha256": 1']
)
def test_a_manifest_that_is_none_is_named(run: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    (folder_of(run, 3) / "manifest.json").write_bytes(content)
    assert "manifest.json: " in newest(run, caplog)


@pytest.mark.parametrize("name", ["manifest.json", "config.yaml", "model.safetensors", "state.pt"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "nothing", "gigabytes", "file above"])
def test_what_stands_in_a_files_place_is_not_waited_for(run: Path, name: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
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
def test_settings_that_no_run_writes_are_named(run: Path, case: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = folder_of(run, 3)
    (folder / "config.yaml").write_text(CONFIGS[case])
    forge(folder)
    assert "config.yaml: " in newest(run, caplog)
    if case != "no parts":
        with pytest.raises(CheckpointError, match=r"config\.yaml: (is not|has something else|is nested|gives|holds)") as caught:
            read_mapping(folder / "config.yaml")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", ["seed: abc", "tokens: [1]", "batch: 3", "val: {every: often}", "trainer: 5", "compile: {a: 1}"])
def test_settings_of_the_wrong_type_are_named(run: Path, line: str) -> None:
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


def test_names_that_are_no_checkpoints(run: Path, caplog: pytest.LogCaptureFixture) -> None:
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
def test_what_a_link_points_to_is_left_alone(run: Path, tmp_path: Path, name: str, whole: bool) -> None:
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
    common = {"objective_state": None, "state": {}, "tokenizer": tokenizer, "settings": SETTINGS, "val_loss": None, "merit": None}
    write_checkpoint(run, step=4, model_state={"a": torch.zeros(1)}, keep=1, **common)  # type: ignore[arg-type]
    assert describe_files(outside) == before
    assert not (run / "checkpoints" / "step-00000004").is_symlink()


def test_the_best_checkpoint_with_a_damaged_manifest_is_named_by_whoever_wants_it(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
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


def weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def alter(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        save_file(change(tensors), folder / "model.safetensors")

    return alter


def header(content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / "model.safetensors").write_bytes(content)


def shared(text: str) -> Callable[[Path], Any]:
    """What the file says of tensors that have two names."""

    def alter(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        save_file(tensors, folder / "model.safetensors", metadata={"same": text})

    return alter


def vocabulary(text: str) -> Callable[[Path], Any]:
    return lambda folder: [path.write_text(text) for path in (folder / "tokenizer").iterdir()]


FORGED: dict[str, Callable[[Path], Any]] = {
    "a tensor less": weights(lambda tensors: dict(list(tensors.items())[1:])),
    "a tensor more": weights(lambda tensors: {**tensors, "more": torch.zeros(2)}),
    "another shape": weights(lambda tensors: {name: tensor[..., :1].contiguous() for name, tensor in tensors.items()}),
    "whole numbers": weights(lambda tensors: {name: tensor.long() for name, tensor in tensors.items()}),
    "complex numbers": weights(lambda tensors: {name: tensor.to(torch.complex64) for name, tensor in tensors.items()}),
    "no header": header(b"\xff" * 64),
    "a header of exabytes": header(b"\xff" * 7 + b"\x7f{}"),
    "an empty file": header(b""),
    "half a header": header((8).to_bytes(8, "little") + b'{"a": {}'),
    "shared with nothing": shared('{"a": "b"}'),
    "shared by a list": shared("[[1]]"),
    "shared by no JSON": shared("{"),
    "no tokenizer": lambda folder: shutil.rmtree(folder / "tokenizer"),
    "tokenizer of no JSON": vocabulary("{"),
    "tokenizer of a list": vocabulary("[1]"),
    "tokenizer of a number": vocabulary("1"),
    "tokenizer too deep": vocabulary("[" * 99999),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_manifest_makes_no_wrong_file_right(run: Path, case: str) -> None:
    folder = folder_of(run, 2)
    FORGED[case](folder)
    forge(folder)
    with pytest.raises(CheckpointError) as caught:
        load(str(folder))
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


STATES = [[1, 2], torch.zeros(3), "text", 5, None]


@pytest.mark.parametrize("state", STATES, ids=str)
def test_a_state_that_is_no_state(run: Path, state: object) -> None:
    folder = folder_of(run, 3)
    torch.save(state, folder / "state.pt")
    forge(folder)
    with pytest.raises(CheckpointError, match=r"state\.pt: is not the state that gptkit wrote"):
        _ = read_checkpoint(folder).state


def test_a_file_in_the_place_of_the_folder_of_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").touch()
    with pytest.raises(CheckpointError, match=r"checkpoints: is a file, and a run has its checkpoints in a folder of that name"):
        latest_checkpoint(tmp_path)
    (tmp_path / "checkpoints").unlink()
    (tmp_path / "checkpoints").symlink_to("absent")
    with pytest.raises(CheckpointError, match="is a link to nothing"):
        latest_checkpoint(tmp_path)


def test_all_files_of_a_checkpoint_follow_the_umask(intact: Path, tmp_path: Path) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder_of(intact, 1).rglob("*") if path.is_file()}
    assert len(modes) == 1


def altered(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return put(*keys, value=value)


def of_the_optimizer(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], None]:
    """Change every parameter's entries."""
    return lambda state: [change(entries) for entries in state["optimizer"]["state"].values()] and None  # type: ignore[func-returns-value]


WRONG_STATES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "step of another": altered("step", value=1),
    "tokens a text": altered("tokens", value="many"),
    "val_metrics a list": altered("val_metrics", value=[1]),
    "callbacks a text": altered("callbacks", value="x"),
    "sources a list": altered("sources", value=["data"]),
    "weights a list": altered("weights", value=[1]),
    "optimizer a tensor": altered("optimizer", value=torch.zeros(2)),
    "optimizer without groups": altered("optimizer", "groups", value=None),
    "groups of numbers": altered("optimizer", "groups", value=[1]),
    "parameters of another": altered("optimizer", "groups", value=[{"names": ["model.other"]}]),
    "moments of another shape": of_the_optimizer(lambda entries: entries.update(exp_avg=torch.zeros(1, 3))),
    "moments of a number": of_the_optimizer(lambda entries: entries.update(exp_avg_sq=1.0)),
    "betas a text": lambda state: [group.update(betas="x") for group in state["optimizer"]["groups"]] and None,
    "micro negative": altered("micro", value=-1),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_words: list[str]) -> Path:
    """A run of two steps, each with its checkpoint."""
    import gptkit

    folder = tmp_path_factory.mktemp("trained") / "run"
    words = ["trainer.max_steps=2", "save.every=1", "save.keep=0", f"hydra.run.dir={folder}"]
    gptkit.run(gptkit.compose("train", [*tiny_words, *words]))
    return folder


@pytest.mark.parametrize("case", WRONG_STATES)
def test_a_forged_state_is_no_state_to_continue_from(trained: Path, tmp_path: Path, train: Callable[..., Any], case: str) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    path = folder_of(run, 2) / "state.pt"
    state = torch.load(path, weights_only=True)
    WRONG_STATES[case](state)
    torch.save(state, path)
    forge(path.parent)
    with pytest.raises(CheckpointError) as caught:
        train(run, "trainer.max_steps=3", "save.every=1", "save.keep=0")
    assert "state.pt: " in str(caught.value)
    assert "\n" not in str(caught.value)
