from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gptkit.attention import AlternatingAttentionConfig, BandedAttentionConfig, DenseAttentionConfig
from gptkit.errors import CheckpointError, ConfigError
from gptkit.generation import generate
from gptkit.interop.huggingface import export_model
from gptkit.interop.import_model import import_model
from gptkit.model import GPTConfig
from gptkit.tokenizer.base import Tokenizer
from gptkit.tokenizer.bpe import BPETokenizer
from gptkit.tokenizer.bytes import BytesTokenizer
from gptkit.tokenizer.char import CharTokenizer

TEXT = "Hello wörld, it's 3.14\n\n  ok  € 😀 done\r\n\ttab, and  more.  "
TOKENIZERS = {
    "bytes": BytesTokenizer(),
    "char": CharTokenizer("".join(sorted(set(TEXT)))),
    "bpe": BPETokenizer.train([TEXT * 3], size=300),
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
def test_transformers_continues_prompts_like_the_exported_model(
    tmp_path: Path,
    tokenizer: Any,
    tied: bool,
    build: Callable[..., Any],
    read_by_transformers: Callable[..., Any],
    transformers: Any,
) -> None:
    model = build(tokenizer, tied=tied)
    assert export_model(model, tokenizer, tmp_path) == []
    theirs, read = read_by_transformers(tmp_path, model, tokenizer, TEXT)
    assert type(theirs) is transformers.GPT2LMHeadModel
    assert read.decode(tokenizer.encode(TEXT)) == TEXT

    (ours,) = generate(model, tokenizer, ["it's"], max_new_tokens=12, temperature=0)
    inputs = read("it's", return_tensors="pt")
    whole = theirs.generate(**inputs, max_new_tokens=12, do_sample=False, pad_token_id=read.eos_token_id)[0].tolist()
    following = [token for token in whole[inputs["input_ids"].shape[1] :] if token != read.eos_token_id]
    assert ours[0].tokens == following


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
def test_export_and_import_round_trip(tmp_path: Path, tokenizer: Any, build: Callable[..., Any]) -> None:
    model = build(tokenizer, BandedAttentionConfig(window=24), dropout=0.1)  # as wide as the context, so dense
    export_model(model, tokenizer, tmp_path)
    result = import_model(str(tmp_path))
    assert result.model == GPTConfig(layers=2, heads=2, width=16, context=24, dropout=0.1)
    assert result.attention == DenseAttentionConfig()
    assert result.tokenizer.fingerprint == tokenizer.fingerprint
    saved = tmp_path / "saved"
    saved.mkdir()
    result.tokenizer.save(saved)
    assert result.tokenizer_config.load(saved).fingerprint == tokenizer.fingerprint
    state = model.state_dict()
    assert result.state.keys() == state.keys()
    assert all(torch.equal(result.state[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("form", ["whole", "shards", "pickle", "bare names", "bfloat16", "padded"])
@pytest.mark.parametrize("tied", [True, False])
def test_transformers_models_are_imported_with_equal_logits(
    tmp_path: Path, form: str, tied: bool, build: Callable[..., Any], shaken: Callable[..., Any], transformers: Any
) -> None:
    tokenizer = TOKENIZERS["bpe"]
    export_model(build(tokenizer), tokenizer, tmp_path)  # for its tokenizer
    (tmp_path / "model.safetensors").unlink()
    rows = -(-tokenizer.size // 64) * 64 if form == "padded" else tokenizer.size
    config = transformers.GPT2Config(
        vocab_size=rows, n_positions=32, n_embd=24, n_layer=2, n_head=3, tie_word_embeddings=tied, bos_token_id=1, eos_token_id=1
    )
    theirs = shaken(transformers.GPT2LMHeadModel(config), 0.2)
    if form == "bfloat16":
        theirs = theirs.bfloat16()
    theirs.save_pretrained(tmp_path, max_shard_size="20kB" if form == "shards" else "1GB")
    theirs = theirs.float()
    assert (tmp_path / "model.safetensors.index.json").exists() == (form == "shards")
    if form == "pickle":
        (tmp_path / "model.safetensors").unlink()
        state = {name: tensor for name, tensor in theirs.state_dict().items() if tied is False or name != "lm_head.weight"}
        torch.save(state, tmp_path / "pytorch_model.bin")
    if form == "bare names":  # like the oldest files on the Hub, which include causal masks
        from safetensors.torch import load_file, save_file

        state = load_file(tmp_path / "model.safetensors")
        state = {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
        save_file(state | {"h.0.attn.bias": torch.ones(1, 1, 32, 32)}, tmp_path / "model.safetensors")

    result = import_model(str(tmp_path))
    model = result.model.build(attention=result.attention, vocabulary=result.tokenizer.size).eval()
    model.load_state_dict(result.state)
    assert len(result.state["wte.weight"]) == tokenizer.size  # tokens that an objective adds follow those of the tokenizer
    tokens = torch.randint(0, tokenizer.size, (2, 32))
    with torch.inference_mode():
        expected = theirs(tokens).logits[..., : tokenizer.size]
        torch.testing.assert_close(model.logits(model(tokens)), expected, rtol=0, atol=1e-5)


class Morse(Tokenizer):
    """A third-party tokenizer."""

    size, special, fingerprint = 257, {"end_of_text": 256}, ""

    def encode(self, text: str) -> Any:
        return [ord(character) for character in text]

    def decode(self, ids: Any) -> Any:
        return "".join(map(chr, ids))

    def encode_batch(self, texts: Any) -> Any:
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def test_unsupported_tokenizer_is_reported_as_missing(tmp_path: Path, build: Callable[..., Any]) -> None:
    (sentence,) = export_model(build(Morse()), Morse(), tmp_path)
    assert "Morse" in sentence
    assert (tmp_path / "model.safetensors").exists()
    with pytest.raises(CheckpointError, match="has no tokenizer"):
        import_model(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"attention": AlternatingAttentionConfig(window=8)}, "layer 1 has BandedAttention")],
)
def test_export_of_an_inexpressible_model_is_rejected(tmp_path: Path, change: Any, message: str, build: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match=message):
        export_model(build(TOKENIZERS["bytes"], **change), TOKENIZERS["bytes"], tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model_type": "llama"},
            "model_type=llama is not supported by model=gpt, which reads gpt2 or openai-gpt; pip install gptkit-hf loads",
        ),
        ({"activation_function": "relu"}, "activation_function=relu is not supported by model=gpt; it must be gelu_new"),
        ({"n_inner": 10}, "n_inner=10"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
        ({"vocab_size": 300}, "the model has 300 tokens, its tokenizer 257"),
    ],
)
def test_unsupported_models_are_rejected(tmp_path: Path, change: Any, message: str, build: Callable[..., Any]) -> None:
    export_model(build(TOKENIZERS["bytes"]), TOKENIZERS["bytes"], tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(CheckpointError, match=message):
        import_model(str(tmp_path))


def test_missing_damaged_and_unsafe_files_are_named(tmp_path: Path, build: Callable[..., Any]) -> None:
    with pytest.raises(CheckpointError, match="there is no such folder"):
        import_model(str(tmp_path / "nowhere"))
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        import_model(str(tmp_path))
    export_model(build(TOKENIZERS["bytes"]), TOKENIZERS["bytes"], tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        import_model(str(tmp_path))
    weights.unlink()
    with pytest.raises(CheckpointError, match="has no weights"):
        import_model(str(tmp_path))
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Harmful()}))
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is damaged, or a pickle that holds more than tensors"):
        import_model(str(tmp_path))


class Harmful:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("the pickle was run",))


@pytest.mark.parametrize(("kind", "reason"), [("pipe", "is a pipe"), ("deep", "cannot be read")])
def test_unreadable_config_json_is_named(kind: str, reason: str, tmp_path: Path) -> None:
    if kind == "pipe":
        os.mkfifo(tmp_path / "config.json")
    else:
        (tmp_path / "config.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(CheckpointError, match=rf"config\.json {reason}"):
        import_model(str(tmp_path))
