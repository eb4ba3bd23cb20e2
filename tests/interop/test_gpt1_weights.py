"""GPT-1's weights: Hugging Face's openai-gpt format is read and written, OpenAI's arrays are read, with equal logits."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gptkit
from gptkit.attention import DenseAttentionConfig
from gptkit.errors import CheckpointError
from gptkit.interop.huggingface import export_model, to_huggingface
from gptkit.interop.import_model import import_model, import_settings
from gptkit.interop.weight_names import GPT1_NAMES
from gptkit.model import GPTConfig
from gptkit.tokenizer import GPT1TokenizerConfig
from gptkit.tokenizer.base import END_OF_TEXT
from gptkit.tokenizer.bytes import BytesTokenizer
from gptkit.tokenizer.gpt1 import BackslashGPT1Tokenizer, GPT1Tokenizer, ReleasedGPT1Tokenizer, TransformersGPT1Tokenizer
from gptkit.training.checkpoints.load import initial_settings

TEXT = "The old man didn't stop: he'd seen 80 winters, and (so he said) one more."
LEARNT = TransformersGPT1Tokenizer.train([TEXT] * 3, size=480)
SETTINGS: dict[str, Any] = {"norm": "post", "residual_scaling": False, "position_deviation": 0.02}


@pytest.fixture
def build(build: Callable[..., Any]) -> Any:
    return partial(build, layers=3, width=128, by=0.1, embeddings=0.1, **SETTINGS)


def published(folder: Path, tokenizer: GPT1Tokenizer) -> None:
    """Write vocabulary files in OpenAI's format, which has no end-of-text token."""
    vocabulary = {entry: token for entry, token in tokenizer.vocabulary.items() if entry != END_OF_TEXT}
    (folder / "encoder_bpe_40000.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *map(" ".join, tokenizer.merges), ""]
    (folder / "vocab_40000.bpe").write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("tokenizer", [LEARNT, BytesTokenizer()], ids=["gpt1", "bytes"])
def test_transformers_reads_exported_models(
    tmp_path: Path,
    tokenizer: Any,
    tied: bool,
    build: Callable[..., Any],
    read_by_transformers: Callable[..., Any],
    transformers: Any,
) -> None:
    model = build(tokenizer, tied=tied)
    assert export_model(model, tokenizer, tmp_path) == []
    theirs, _ = read_by_transformers(tmp_path, model, tokenizer, TEXT)
    assert type(theirs) is transformers.OpenAIGPTLMHeadModel


@pytest.mark.parametrize("kind", [ReleasedGPT1Tokenizer, BackslashGPT1Tokenizer, TransformersGPT1Tokenizer])
def test_export_and_import_round_trip(tmp_path: Path, kind: Any, build: Callable[..., Any]) -> None:
    tokenizer = kind(LEARNT.vocabulary, LEARNT.merges)
    model = build(tokenizer, dropout=0.1)
    lacking = export_model(model, tokenizer, tmp_path)
    assert [sentence.partition(":")[0] for sentence in lacking] == [
        "transformers splits GPT-1's words by BERT's rules, not by spaCy's, so some texts get other ids"
    ] * (kind is not TransformersGPT1Tokenizer)
    result = import_model(str(tmp_path))
    assert result.model == model.settings
    assert result.tokenizer.fingerprint == tokenizer.fingerprint
    assert result.tokenizer_config == GPT1TokenizerConfig(path=str(tmp_path), cleaning=tokenizer.cleaning)
    assert result.state.keys() == model.state_dict().keys()
    assert all(torch.equal(result.state[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("form", ["whole", "bare names", "head repeated"])
def test_transformers_models_are_imported_with_equal_logits(
    tmp_path: Path, form: str, shaken: Callable[..., Any], transformers: Any
) -> None:
    """A folder as on the Hub: no end-of-text token, and tokenizer files that transformers wrote."""
    published(tmp_path, LEARNT)
    vocabulary = LEARNT.size - 1
    config = transformers.OpenAIGPTConfig(vocab_size=vocabulary, n_positions=32, n_embd=24, n_layer=2, n_head=3)
    theirs = shaken(transformers.OpenAIGPTLMHeadModel(config), 0.1)
    theirs.save_pretrained(tmp_path)
    if form != "whole":
        from safetensors.torch import load_file, save_file

        state = load_file(tmp_path / "model.safetensors")
        if form == "bare names":
            state = {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
            state |= {"h.0.attn.bias": torch.ones(1, 1, 32, 32), "position_ids": torch.arange(32)}
        else:
            state["lm_head.weight"] = state["transformer.tokens_embed.weight"].clone()
        save_file(state, tmp_path / "model.safetensors")
    model, tokenizer = gptkit.load(f"hf:{tmp_path}")
    tokens = torch.randint(0, vocabulary, (2, 32))
    with torch.inference_mode():
        logits = model.logits(model(tokens))
        torch.testing.assert_close(logits[..., :-1], theirs(tokens).logits, rtol=0, atol=1e-5)
        torch.testing.assert_close(logits[..., -1], logits[..., :-1].mean(dim=-1), rtol=0, atol=1e-5)
    assert tokenizer.fingerprint == ReleasedGPT1Tokenizer(LEARNT.vocabulary, LEARNT.merges).fingerprint
    settings = initial_settings(f"hf:{tmp_path}")
    assert settings.model == GPTConfig(layers=2, heads=3, width=24, context=32, dropout=0.1, **SETTINGS)
    assert settings.tokenizer.name == "gpt1"


def test_tokenizer_json_of_transformers_is_sufficient(tmp_path: Path, build: Callable[..., Any]) -> None:
    export_model(build(LEARNT), LEARNT, tmp_path)
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).unlink()
    assert import_settings(str(tmp_path)).tokenizer.fingerprint == LEARNT.fingerprint


def arrays(folder: Path, model: Any, files: int = 10) -> None:
    """Write weights in OpenAI's format: positions, tokens, then block by block, as one array that is split into files."""
    state = to_huggingface(model.state_dict(), GPT1_NAMES)  # this format also stores matrices as (in, out)
    rows = [state["transformer.positions_embed.weight"], state["transformer.tokens_embed.weight"][:-1]]
    for layer in range(model.settings.layers):
        for module in ("attn.c_attn", "attn.c_proj", "ln_1", "mlp.c_fc", "mlp.c_proj", "ln_2"):
            weight, bias = (state[f"transformer.h.{layer}.{module}.{kind}"] for kind in ("weight", "bias"))
            rows += [weight[None] if weight.ndim == 2 else weight, bias]
    (folder / "params_shapes.json").write_text(json.dumps([list(row.shape) for row in rows]), encoding="utf-8")
    flat = np.concatenate([row.numpy().ravel() for row in rows])
    for number, part in enumerate(np.array_split(flat, files)):
        np.save(folder / f"params_{number}.npy", part)


def test_openai_arrays_are_imported(tmp_path: Path, build: Callable[..., Any]) -> None:
    published(tmp_path, LEARNT)
    model = build(LEARNT)
    arrays(tmp_path, model, files=12)  # more than ten files: params_10 must be read after params_9
    result, tokenizer = gptkit.load(f"hf:{tmp_path}")
    assert result.settings == GPTConfig(layers=3, heads=2, width=128, context=24, dropout=0.1, **SETTINGS)
    assert tokenizer.size == LEARNT.size
    for name, tensor in model.state_dict().items():
        rows = slice(0, LEARNT.size - 1) if name == "wte.weight" else slice(None)
        assert torch.equal(result.state_dict()[name][rows], tensor[rows])
    torch.testing.assert_close(result.wte.weight[-1], result.wte.weight[:-1].mean(dim=0))
    assert initial_settings(f"hf:{tmp_path}").model == result.settings


def test_released_shapes_have_116_534_784_parameters() -> None:
    with torch.device("meta"):
        model = GPTConfig(layers=12, heads=12, width=768, context=512, **SETTINGS).build(
            attention=DenseAttentionConfig(), vocabulary=40_478
        )
    assert sum(parameter.numel() for parameter in model.parameters()) == 116_534_784


def test_mismatched_openai_arrays_are_named(tmp_path: Path, build: Callable[..., Any]) -> None:
    published(tmp_path, LEARNT)
    model = build(LEARNT)
    arrays(tmp_path, model)
    with pytest.raises(CheckpointError, match=f"Did you mean hf:{tmp_path}"):
        gptkit.load(str(tmp_path))
    (tmp_path / "params_3.npy").rename(tmp_path / "other")
    with pytest.raises(CheckpointError, match=r"the 9 files params_\*\.npy hold [\d,]+ numbers, but params_shapes\.json describes"):
        gptkit.load(f"hf:{tmp_path}")
    for content in (b"torn", b""):
        (tmp_path / "params_3.npy").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"params_\*\.npy cannot be read"):
            gptkit.load(f"hf:{tmp_path}")
    for text in ("[[1, 2], [3, 4]]", "[[24, 128], [479, 128], [1, 2, 3]]", '[["24", 128], [479, 128]]', "{}", "nothing", "3"):
        (tmp_path / "params_shapes.json").write_text(text, encoding="utf-8")
        with pytest.raises(CheckpointError, match=r"params_shapes\.json"):
            gptkit.load(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_head": 5}, r"does not describe a valid model: model=gpt: model\.width=128 is not divisible by model\.heads=5"),
        ({"n_layer": 0}, r"does not describe a valid model: model\.layers=0"),
        ({"n_layer": "12"}, "n_layer=12 must be a whole number"),
        ({"n_positions": None}, "n_positions=None must be a whole number"),
        ({"resid_pdrop": "a"}, "resid_pdrop=a must be a number"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings=no must be true or false"),
        ({"model_type": ["gpt2"]}, r"model_type=\['gpt2'\] is not supported"),
    ],
)
def test_invalid_config_json_is_named(tmp_path: Path, changes: Any, message: str, build: Callable[..., Any]) -> None:
    export_model(build(LEARNT), LEARNT, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    with pytest.raises(CheckpointError, match=rf"config\.json:? {message}") as caught:
        import_settings(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", ["3", "null", "[]", "", "{"])
def test_files_with_unexpected_content_are_named(tmp_path: Path, file: str, content: Any, build: Callable[..., Any]) -> None:
    export_model(build(LEARNT), LEARNT, tmp_path)
    (tmp_path / file).write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=file) as caught:
        import_settings(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_import_of_an_unsupported_model_is_rejected(tmp_path: Path, build: Callable[..., Any]) -> None:
    export_model(build(LEARNT), LEARNT, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"afn": "relu"}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="afn=relu is not supported by model=gpt; it must be gelu"):
        import_model(str(tmp_path))
