import logging
import pickle
import shutil
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
    """Steps 1, 2, 3 whose weights are all 1, 2, 3; the second has the lowest validation loss."""
    given = settings(CharTokenizerConfig())
    tokenizer = given.tokenizer.build(texts=TEXTS)
    model = given.model.build(attention=given.attention, vocabulary=tokenizer.size)
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
            settings=given,
            keep=0,
            val_loss=loss,
            merit=loss,
        )
    return tmp_path / "runs" / "shake"


def step_of(model: torch.nn.Module) -> int:
    values = {value for parameter in model.parameters() for value in parameter.unique().tolist()}
    (value,) = values
    return int(value)


def test_a_run_is_its_best_checkpoint_ready_for_use(run: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model, tokenizer = load(str(run))
    assert torch.equal(torch.rand(3), expected)  # the program's random numbers are not used up
    assert step_of(model) == 2
    assert not any(module.training for module in model.modules())
    assert tokenizer.decode(tokenizer.encode("quick")) == "quick"
    assert model.vocabulary == tokenizer.size
    weights = initial_weights(str(run))
    assert weights.model == GPTConfig(layers=1, heads=2, width=8, context=16, dropout=0.5)
    assert weights.attention == BandedAttentionConfig(window=4)
    assert weights.tokenizer_config == CharTokenizerConfig()


def test_settings_alone(run: Path) -> None:
    settings = initial_settings(str(run))
    assert settings.model == GPTConfig(layers=1, heads=2, width=8, context=16, dropout=0.5)
    assert settings.attention == BandedAttentionConfig(window=4)
    assert settings.tokenizer == CharTokenizerConfig()


def test_weights_in_hugging_face_format(run: Path, tmp_path: Path) -> None:
    from gptkit.attention import DenseAttentionConfig
    from gptkit.interop.huggingface import export_model

    given = GPTConfig(layers=1, heads=2, width=8, context=16)
    tokenizer = BytesTokenizerConfig().build(texts=[])
    model = given.build(attention=DenseAttentionConfig(), vocabulary=tokenizer.size).eval()
    (tmp_path / "hf").mkdir()
    export_model(model, tokenizer, tmp_path / "hf")
    back, same = load(f"hf:{tmp_path / 'hf'}")
    tokens = torch.arange(16)[None]
    assert torch.equal(back.logits(back(tokens)), model.logits(model(tokens)))
    assert same.encode("fox") == tokenizer.encode("fox")
    settings = initial_settings(f"hf:{tmp_path / 'hf'}")
    assert (settings.model.layers, settings.model.width, settings.attention) == (1, 8, DenseAttentionConfig())


def test_one_checkpoint_and_the_checkpoints_folder(run: Path) -> None:
    assert step_of(load(str(run / "checkpoints" / "step-00000003"))[0]) == 3
    assert step_of(load(str(run / "checkpoints"))[0]) == 2


def test_a_damaged_best_is_named_and_the_next_best_used(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    (run / "checkpoints" / "step-00000002" / "model.safetensors").write_bytes(b"x")
    with caplog.at_level(logging.WARNING, "gptkit"):
        assert step_of(load(str(run))[0]) == 3
    assert "step-00000002" in caplog.text


def test_a_damaged_checkpoint_asked_for_by_name_is_an_error(run: Path) -> None:
    folder = run / "checkpoints" / "step-00000002"
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: was altered"):
        load(str(folder))


def test_a_tokenizer_of_another_run_is_an_error(run: Path, tmp_path: Path) -> None:
    from gptkit.training.checkpoints.manifest import describe_files, read_manifest, to_json

    folder = run / "checkpoints" / "step-00000002"
    shutil.rmtree(folder / "tokenizer")
    (folder / "tokenizer").mkdir()
    CharTokenizerConfig().build(texts=["an other alphabet"]).save(folder / "tokenizer")
    manifest = read_manifest(folder)
    (folder / "manifest.json").write_text(to_json(type(manifest)(**{**manifest.__dict__, "files": describe_files(folder)})))
    with pytest.raises(CheckpointError, match=r"is another tokenizer .* than the weights were trained with"):
        load(str(folder))


def test_weights_that_do_not_fit_are_named(run: Path) -> None:
    from gptkit.training.checkpoints.load import load_weights

    weights = initial_weights(str(run))
    other = GPTConfig(layers=1, heads=2, width=8, context=16).build(attention=BandedAttentionConfig(window=4), vocabulary=99)
    with pytest.raises(CheckpointError, match=r"wte\.weight is \(\d+, 8\) in the checkpoint and \(99, 8\) in the model"):
        load_weights(other, weights.state, "runs/shake")
    deeper = GPTConfig(layers=2, heads=2, width=8, context=16).build(
        attention=BandedAttentionConfig(window=4), vocabulary=weights.tokenizer.size
    )
    with pytest.raises(CheckpointError, match=r"the model has a weight blocks\.1"):
        load_weights(deeper, weights.state, "runs/shake")
    with pytest.raises(CheckpointError, match="the checkpoint has a weight extra"):
        load_weights(load(str(run))[0], {**weights.state, "extra": torch.zeros(1)}, "runs/shake")


def message(source: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(str(source))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_checkpoint_is_said(run: Path, tmp_path: Path) -> None:
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


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    old, new = tmp_path / "model.pt", tmp_path / "folder" / "pytorch_model.bin"
    new.parent.mkdir()
    old.write_bytes(pickle.dumps(Payload(mark)))
    torch.save(Payload(mark), new)
    for source in (old, new, new.parent):
        assert "is a pickle, which can run any code" in message(source)
    assert not mark.exists()
