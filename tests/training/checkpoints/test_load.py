import logging
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from gptkit.attention import BandedAttentionConfig
from gptkit.command import TrainCommand
from gptkit.data import TextConfig
from gptkit.errors import CheckpointError
from gptkit.model import GPTConfig
from gptkit.objective import LMConfig
from gptkit.optimizer import AdamWConfig
from gptkit.tokenizer import BytesTokenizerConfig, CharTokenizerConfig
from gptkit.training.checkpoints.load import initial_settings, initial_weights, load
from gptkit.training.checkpoints.save import write_checkpoint

TEXTS = ["the quick brown fox"]


def settings(tokenizer: BytesTokenizerConfig | CharTokenizerConfig) -> TrainCommand:
    return TrainCommand(
        model=GPTConfig(layers=1, heads=2, width=8, context=16, dropout=0.5),
        attention=BandedAttentionConfig(window=4),
        objective=LMConfig(),
        tokenizer=tokenizer,
        data=TextConfig(path="x"),
        optimizer=AdamWConfig(),
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Checkpoints of steps 1, 2 and 3 with all weights 1, 2 and 3. The second has the lowest validation loss."""
    run_settings = settings(CharTokenizerConfig())
    tokenizer = run_settings.tokenizer.build(texts=TEXTS)
    model = run_settings.model.build(attention=run_settings.attention, vocabulary=tokenizer.size)
    for step, loss in ((1, 3.0), (2, 1.0), (3, 2.0)):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(step)
        write_checkpoint(
            tmp_path / "runs" / "shake",
            step=step,
            model_state=model.state_dict(),
            objective_state={},
            state={},
            tokenizer=tokenizer,
            settings=run_settings,
            keep=0,
            val_loss=loss,
            value_to_minimize=loss,
        )
    return tmp_path / "runs" / "shake"


def step_of(model: torch.nn.Module) -> int:
    values = {value for parameter in model.parameters() for value in parameter.unique().tolist()}
    (value,) = values
    return int(value)


def test_load_returns_the_best_checkpoint_in_evaluation_mode(run: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model, tokenizer = load(str(run))
    assert torch.equal(torch.rand(3), expected)  # loading leaves the global random state unchanged
    assert step_of(model) == 2
    assert not any(module.training for module in model.modules())
    assert tokenizer.decode(tokenizer.encode("quick")) == "quick"
    assert model.vocabulary == tokenizer.size
    weights = initial_weights(str(run))
    assert weights.model == GPTConfig(layers=1, heads=2, width=8, context=16, dropout=0.5)
    assert weights.attention == BandedAttentionConfig(window=4)
    assert weights.tokenizer_config == CharTokenizerConfig()


def test_initial_settings_are_read_without_weights(run: Path) -> None:
    settings = initial_settings(str(run))
    assert settings.model == GPTConfig(layers=1, heads=2, width=8, context=16, dropout=0.5)
    assert settings.attention == BandedAttentionConfig(window=4)
    assert settings.tokenizer == CharTokenizerConfig()


def test_hugging_face_folder_loads_with_equal_logits(run: Path, tmp_path: Path) -> None:
    from gptkit.attention import DenseAttentionConfig
    from gptkit.interop.huggingface import export_model

    run_settings = GPTConfig(layers=1, heads=2, width=8, context=16)
    tokenizer = BytesTokenizerConfig().build(texts=[])
    model = run_settings.build(attention=DenseAttentionConfig(), vocabulary=tokenizer.size).eval()
    (tmp_path / "hf").mkdir()
    export_model(model, tokenizer, tmp_path / "hf")
    back, same = load(f"hf:{tmp_path / 'hf'}")
    tokens = torch.arange(16)[None]
    assert torch.equal(back.logits(back(tokens)), model.logits(model(tokens)))
    assert same.encode("fox") == tokenizer.encode("fox")
    settings = initial_settings(f"hf:{tmp_path / 'hf'}")
    assert (settings.model.layers, settings.model.width, settings.attention) == (1, 8, DenseAttentionConfig())


def test_load_accepts_a_checkpoint_folder_and_the_checkpoints_folder(run: Path) -> None:
    assert step_of(load(str(run / "checkpoints" / "step-00000003"))[0]) == 3
    assert step_of(load(str(run / "checkpoints"))[0]) == 2


def test_damaged_best_checkpoint_is_reported_and_the_next_best_loaded(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    (run / "checkpoints" / "step-00000002" / "model.safetensors").write_bytes(b"x")
    with caplog.at_level(logging.WARNING, "gptkit"):
        assert step_of(load(str(run))[0]) == 3
    assert "step-00000002" in caplog.text


def test_loading_a_damaged_checkpoint_folder_raises(run: Path) -> None:
    folder = run / "checkpoints" / "step-00000002"
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: was altered"):
        load(str(folder))


def test_tokenizer_of_another_run_raises(run: Path, tmp_path: Path) -> None:
    from gptkit.training.checkpoints.manifest import describe_files, read_manifest, to_json

    folder = run / "checkpoints" / "step-00000002"
    shutil.rmtree(folder / "tokenizer")
    (folder / "tokenizer").mkdir()
    CharTokenizerConfig().build(texts=["an other alphabet"]).save(folder / "tokenizer")
    manifest = read_manifest(folder)
    (folder / "manifest.json").write_text(to_json(type(manifest)(**{**manifest.__dict__, "files": describe_files(folder)})))
    with pytest.raises(CheckpointError, match=r"is not the tokenizer with which the weights were trained"):
        load(str(folder))


def message(source: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(str(source))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_path_without_checkpoint_is_described_with_a_suggestion(run: Path, tmp_path: Path) -> None:
    assert "there is no such folder. Did you mean" in message(run.parent / "shaek")
    assert str(run) in message(run.parent / "shaek")
    assert f"Did you mean {run}?" in message(run.parent)
    assert "there is no checkpoint in this folder" in message(tmp_path)
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    assert "is a file" in message(text)
    hub = tmp_path / "hub"
    hub.mkdir()
    (hub / "config.json").write_text("{}")
    assert f"Did you mean hf:{hub}?" in message(hub)


class Payload:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def test_pickle_is_rejected_without_running_its_code(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    old, new = tmp_path / "model.pt", tmp_path / "folder" / "pytorch_model.bin"
    new.parent.mkdir()
    old.write_bytes(pickle.dumps(Payload(mark)))
    torch.save(Payload(mark), new)
    for source in (old, new, new.parent):
        assert "is a pickle, which can run any code" in message(source)
    assert not mark.exists()


@pytest.mark.process
def test_loading_a_model_does_not_wait_for_lightning(run: Path) -> None:
    code = f"import sys, gptkit; gptkit.load({str(run)!r}); sys.exit('lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
