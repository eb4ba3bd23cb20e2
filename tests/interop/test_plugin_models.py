"""`hf:` loads models that gptkit's own GPT cannot express through the installed plugin that reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import gptkit
from gptkit.attention import DenseAttentionConfig
from gptkit.model import GPTConfig
from tests.command_line import GptkitCommand, compose_settings

TRAIN = ["train", "data=text", "data.path=x.txt", "trainer=cpu", "+shrink=tiny", "trainer.max_steps=1"]
MISSING = (
    "model_type=looped is not supported by model=gpt, which reads gpt2 or openai-gpt; "
    "pip install gptkit-hf loads any causal language model of transformers"
)
PLUGIN = """
    import json
    from dataclasses import dataclass
    from pathlib import Path

    from gptkit import hookimpl
    from gptkit.errors import CheckpointError
    from gptkit.model import GPTConfig, ModelConfig
    from gptkit.tokenizer import BytesTokenizerConfig


    @dataclass
    class LoopedConfig(ModelConfig):
        \"\"\"A model that only this plugin reads.\"\"\"

        name: str = "looped"
        folder: str = ""
        adjustable = ("dropout", "context")

        @classmethod
        def from_pretrained(cls, source):
            content = json.loads((Path(source) / "config.json").read_text())
            if content["model_type"] != "looped":
                return None
            if content["loops"] != 1:
                raise CheckpointError(f"hf:{source}: loops={content['loops']} must be 1")
            return cls(folder=source, layers=1, heads=2, width=8, context=64)

        def companions(self):
            return {"tokenizer": BytesTokenizerConfig()} if (Path(self.folder) / "bytes").exists() else {}

        def weights(self):
            from safetensors.torch import load_file

            return load_file(Path(self.folder) / "weights.safetensors")

        def build(self, *, attention, vocabulary):
            return GPTConfig(layers=1, heads=2, width=8, context=64).build(attention=attention, vocabulary=vocabulary)


    @hookimpl
    def gptkit_model():
        return [LoopedConfig]
"""


@pytest.fixture
def looped(in_folder: Path) -> dict[str, torch.Tensor]:
    """Writes the folder `looped`, a model with a tokenizer of bytes, and a text. Returns its weights."""
    folder = in_folder / "looped"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "looped", "loops": 1}))
    (folder / "bytes").touch()
    torch.manual_seed(3)
    state = GPTConfig(layers=1, heads=2, width=8, context=64).build(attention=DenseAttentionConfig(), vocabulary=257).state_dict()
    save_file({name: tensor.clone() for name, tensor in state.items()}, folder / "weights.safetensors")
    (in_folder / "x.txt").write_text("To be, or not to be, that is the question. " * 60)
    return dict(state)


@pytest.mark.parametrize(
    "words",
    [["generate", "checkpoint=hf:looped"], ["export", "checkpoint=hf:looped", "to=out"], ["plan", "init_from=hf:looped"]],
    ids=lambda words: str(words[0]),
)
def test_without_a_plugin_the_error_names_the_package(
    words: list[str], looped: dict[str, torch.Tensor], gptkit_command: GptkitCommand
) -> None:
    outcome = gptkit_command(*words)
    assert outcome.status == 1
    assert outcome.error_line == f"gptkit: looped/config.json: {MISSING}"


def test_plugin_that_failed_to_load_is_named(
    looped: dict[str, torch.Tensor], install_plugin: Callable[..., None], gptkit_command: GptkitCommand
) -> None:
    install_plugin("torn", "import a_package_that_is_missing")
    outcome = gptkit_command("generate", "checkpoint=hf:looped")
    assert f"{MISSING}. The plugin torn of gptkit-torn failed to load: ModuleNotFoundError" in outcome.error_line


def test_plugin_provides_weights_sizes_and_tokenizer(
    looped: dict[str, torch.Tensor], install_plugin: Callable[..., None], gptkit_command: GptkitCommand
) -> None:
    install_plugin("loops", PLUGIN)
    model, tokenizer = gptkit.load("hf:looped")
    assert tokenizer.size == 257
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in looped.items())
    generated = gptkit_command("generate", "checkpoint=hf:looped", "prompt=To be", "max_new_tokens=4")
    assert generated.status == 0, generated.err
    assert generated.out.startswith("To be")
    trained = gptkit_command(*TRAIN, "init_from=hf:looped", "optimizer.lr=0", "hydra.run.dir=run")
    assert trained.status == 0, trained.err
    copied = gptkit.load("run")[0].state_dict()
    assert all(torch.equal(copied[name], tensor) for name, tensor in looped.items())


def test_run_chooses_only_the_keys_that_fit_the_weights(
    looped: dict[str, torch.Tensor], install_plugin: Callable[..., None], gptkit_command: GptkitCommand
) -> None:
    """`LoopedConfig.adjustable` contains the context, which a run from the Hugging Face folder chooses, and other runs inherit."""
    install_plugin("loops", PLUGIN)
    settings = compose_settings("train", ["init_from=hf:looped", "model.context=40"])
    assert (settings.model.name, settings.model.width, settings.model.context) == ("looped", 8, 40)
    assert gptkit_command(*TRAIN, "init_from=hf:looped", "hydra.run.dir=run").status == 0
    assert compose_settings("train", ["init_from=run"]).model.context == 32  # that of +shrink=tiny
    assert compose_settings("train", ["init_from=run", "model.context=40"]).model.context == 40
    outcome = gptkit_command("train", "init_from=hf:looped", "model.width=16")
    assert "model.width=16 disagrees with hf:looped, which has model.width=8" in outcome.error_line


def test_typed_tokenizer_is_used_only_if_the_model_has_none(
    looped: dict[str, torch.Tensor], install_plugin: Callable[..., None], gptkit_command: GptkitCommand
) -> None:
    install_plugin("loops", PLUGIN)
    outcome = gptkit_command("train", "init_from=hf:looped", "tokenizer=char")
    assert "tokenizer=char disagrees with hf:looped, which has tokenizer=bytes" in outcome.error_line
    Path("looped/bytes").unlink()
    assert "hf:looped has no tokenizer" in gptkit_command("generate", "checkpoint=hf:looped").error_line
    assert gptkit_command(*TRAIN, "init_from=hf:looped", "tokenizer=bytes", "hydra.run.dir=run").status == 0


def test_error_of_a_plugin_is_reported(
    looped: dict[str, torch.Tensor], install_plugin: Callable[..., None], gptkit_command: GptkitCommand
) -> None:
    install_plugin("loops", PLUGIN)
    Path("looped/config.json").write_text(json.dumps({"model_type": "looped", "loops": 2}))
    outcome = gptkit_command("generate", "checkpoint=hf:looped")
    assert (outcome.status, outcome.error_line) == (1, "gptkit: hf:looped: loops=2 must be 1")
