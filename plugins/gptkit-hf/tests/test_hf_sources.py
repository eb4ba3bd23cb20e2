"""`checkpoint=hf:` and `init_from=hf:` load any causal language model, from a folder or from a revision on the Hub."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from huggingface_hub.constants import HF_HUB_CACHE
from tokenizers import Tokenizer, models, pre_tokenizers

import gptkit
from gptkit.errors import CheckpointError, ConfigError
from gptkit.generation import generate

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 320,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
CONFIGS = {
    "llama": hf.LlamaConfig(**SIZES, num_key_value_heads=1, tie_word_embeddings=True),
    "gpt_neox": hf.GPTNeoXConfig(**SIZES, tie_word_embeddings=False),
    "qwen2": hf.Qwen2Config(**SIZES, num_key_value_heads=1),
    "gpt2_relu": hf.GPT2Config(  # of a type that gptkit's GPT reads, with an activation that it does not have
        n_layer=2, n_head=2, n_embd=32, n_positions=64, vocab_size=320, activation_function="relu", bos_token_id=0, eos_token_id=0
    ),
}
PROMPTS = ["Ann and Bob met at", "Cy", "the old mill, 7", "Di and"]


def save_model(folder: Path, kind: str, tokenizer_folder: Path, seed: int = 0) -> Path:
    """Saves a model with large random weights and its tokenizer, as transformers does."""
    torch.manual_seed(seed)
    model: Any = hf.AutoModelForCausalLM.from_config(CONFIGS[kind])  # type: ignore[no-untyped-call]
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    hf.AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    return folder


def read_by_transformers(folder: Path) -> Any:
    model: Any = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


def train(*words: str) -> Any:
    """Composes a small run in single precision."""
    return gptkit.compose("train", ["+shrink=tiny", "trainer=cpu", "trainer.precision=32-true", *words])


@pytest.fixture
def llama(tmp_path: Path, tokenizer_folder: Path) -> Path:
    return save_model(tmp_path / "llama", "llama", tokenizer_folder)


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_logits_and_token_ids_equal_those_of_transformers(kind: str, tokenizer_folder: Path, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", kind, tokenizer_folder)
    model, tokenizer = gptkit.load(f"hf:{folder}")
    expected_model = read_by_transformers(folder)
    expected_tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.encode(PROMPTS[0])
    assert ids == expected_tokenizer(PROMPTS[0]).input_ids
    tokens = torch.tensor([ids])
    with torch.no_grad():
        assert torch.equal(model.logits(model(tokens)), expected_model(tokens).logits[..., : tokenizer.size])


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_prompts_of_different_lengths_share_a_batch(kind: str, tokenizer_folder: Path, tmp_path: Path) -> None:
    """The continuations are those of each prompt alone, and those of transformers."""
    folder = save_model(tmp_path / "model", kind, tokenizer_folder)
    model, tokenizer = gptkit.load(f"hf:{folder}")
    settings: dict[str, Any] = {"max_new_tokens": 12, "temperature": 0.0}
    together = [texts[0].tokens for texts in generate(model, tokenizer, PROMPTS, **settings)]
    alone = [generate(model, tokenizer, [prompt], **settings)[0][0].tokens for prompt in PROMPTS]
    assert together == alone
    expected_model = read_by_transformers(folder)
    padded_rows = list(range(tokenizer.size, 320))
    for prompt, tokens in zip(PROMPTS, together, strict=True):
        ids = torch.tensor([tokenizer.encode(prompt)])
        output = expected_model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=12,
            do_sample=False,
            pad_token_id=0,
            suppress_tokens=padded_rows,
        )[0, ids.shape[1] :].tolist()
        assert output[: len(tokens)] == tokens
        assert output[len(tokens) :] in ([], [0])


def test_training_resumes_exactly_and_exports_what_transformers_reads(llama: Path, text_file: Path, tmp_path: Path) -> None:
    words = [f"init_from=hf:{llama}", "data=text", f"data.path={text_file}", "optimizer.schedule.shape=constant"]
    gptkit.run(train(*words, "trainer.max_steps=4", f"hydra.run.dir={tmp_path / 'whole'}"))
    for steps in (2, 4):
        gptkit.run(train(*words, f"trainer.max_steps={steps}", f"hydra.run.dir={tmp_path / 'parts'}"))
    start = read_by_transformers(llama)
    shutil.rmtree(llama)  # a checkpoint does not need it

    model, tokenizer = gptkit.load(str(tmp_path / "whole"))
    resumed = gptkit.load(str(tmp_path / "parts"))[0].state_dict()
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in model.state_dict().items())
    changes = [(tensor - model.state_dict()[f"net.{name}"]).abs().max() for name, tensor in start.state_dict().items()]
    assert all(0 < change < 0.1 for change in changes)  # all weights were trained, from the pretrained ones

    gptkit.run(gptkit.compose("export", [f"checkpoint={tmp_path / 'whole'}", f"to={tmp_path / 'out'}"]))
    exported = read_by_transformers(tmp_path / "out")
    assert isinstance(exported, hf.LlamaForCausalLM)
    tokens = torch.tensor([hf.AutoTokenizer.from_pretrained(tmp_path / "out")(PROMPTS[0]).input_ids])
    again, _ = gptkit.load(f"hf:{tmp_path / 'out'}")
    with torch.no_grad():
        logits = model.logits(model(tokens))
        assert torch.equal(exported(tokens).logits[..., : tokenizer.size], logits)
        assert torch.equal(again.logits(again(tokens)), logits)


def test_every_command_that_reads_weights_takes_the_folder(llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gptkit.run(gptkit.compose("generate", [f"checkpoint=hf:{llama}", "prompt=Ann and", "max_new_tokens=3"]))
    assert capsys.readouterr().out.startswith("Ann and")
    rows = "".join(f"Ann met {name},{label}\n" for name, label in (("Bob", "good"), ("Di", "bad")) * 4)
    (tmp_path / "a.csv").write_text(f"text,label\n{rows}")
    task = ["task=next_word", f"task.data={{name:labelled,path:{tmp_path / 'a.csv'}}}"]
    assert "accuracy" in gptkit.run(gptkit.compose("eval", [f"checkpoint=hf:{llama}", *task]))
    capsys.readouterr()
    gptkit.run(gptkit.compose("plan", [f"init_from=hf:{llama}", "+shrink=tiny", "format=json"]))
    parameters = json.loads(capsys.readouterr().out)["parameters"]
    assert parameters == hf.AutoModelForCausalLM.from_pretrained(llama).num_parameters()
    gptkit.run(gptkit.compose("export", [f"checkpoint=hf:{llama}", f"to={tmp_path / 'out'}"]))
    original, exported = (hf.AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (llama, tmp_path / "out"))
    assert all(torch.equal(exported[name], tensor) for name, tensor in original.items())


def test_a_run_chooses_its_context(llama: Path) -> None:
    assert train(f"init_from=hf:{llama}").settings.model.context == 32  # that of +shrink=tiny
    assert train(f"init_from=hf:{llama}", "model.context=48").settings.model.context == 48
    too_long = train(f"init_from=hf:{llama}", "model.context=65").settings
    with pytest.raises(ConfigError, match=r"model.context=65 is more than the 64 positions"):
        too_long.model.build(attention=too_long.attention, vocabulary=320)
    with pytest.raises(ConfigError, match=r"model.layers=3 disagrees with hf:"):
        train(f"init_from=hf:{llama}", "model.layers=3")


def test_a_revision_on_the_hub_is_loaded_and_recorded(tokenizer_folder: Path, text_file: Path, tmp_path: Path) -> None:
    """Two revisions in the layout of the Hub's cache, as an earlier download leaves it."""
    repository = Path(HF_HUB_CACHE) / "models--me--tiny"
    newest, tagged = "a" * 40, "b" * 40
    (repository / "refs").mkdir(parents=True)
    for seed, commit, reference in ((1, newest, "main"), (2, tagged, "v1.0")):
        save_model(repository / "snapshots" / commit, "llama", tokenizer_folder, seed)
        (repository / "refs" / reference).write_text(commit)
    for name, commit in (("me/tiny", newest), ("me/tiny@main", newest), ("me/tiny@v1.0", tagged), (f"me/tiny@{tagged}", tagged)):
        model, tokenizer = gptkit.load(f"hf:{name}")
        expected = read_by_transformers(repository / "snapshots" / commit)
        assert all(torch.equal(model.state_dict()[f"net.{key}"], tensor) for key, tensor in expected.state_dict().items())
        assert tokenizer.decode(tokenizer.encode("Ann met Di.")) == "Ann met Di."
    words = ["init_from=hf:me/tiny@v1.0", "data=text", f"data.path={text_file}", f"hydra.run.dir={tmp_path}"]
    for steps in (1, 2):
        gptkit.run(train(*words, f"trainer.max_steps={steps}"))
        manifest = json.loads((tmp_path / "checkpoints" / f"step-{steps:08}" / "manifest.json").read_text())
        assert manifest["hub"] == {"me/tiny@v1.0": tagged}
    with pytest.raises(CheckpointError, match=r"revision v2 of me/tiny has not been downloaded before"):
        gptkit.load("hf:me/tiny@v2")


def test_a_revision_with_pickled_weights_is_loaded(tokenizer_folder: Path, tmp_path: Path) -> None:
    repository, commit = Path(HF_HUB_CACHE) / "models--me--pickled", "c" * 40
    folder = save_model(repository / "snapshots" / commit, "llama", tokenizer_folder)
    (repository / "refs").mkdir()
    (repository / "refs" / "v1").write_text(commit)
    expected = read_by_transformers(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(expected, folder / "pytorch_model.bin")
    model, _ = gptkit.load("hf:me/pickled@v1")
    assert all(torch.equal(model.state_dict()[f"net.{name}"], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("change", ["padded_rows", "tokenizer"])
def test_a_gpt2_that_gptkit_cannot_express_is_loaded(change: str, model_folder: Path, tmp_path: Path) -> None:
    """The embedding has rows without a token, or the tokenizer is no byte-level BPE."""
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    if change == "padded_rows":
        wider: Any = hf.AutoModelForCausalLM.from_pretrained(folder)
        wider.resize_token_embeddings(331, mean_resizing=False)
        wider.save_pretrained(folder)
    else:
        words = {"<unk>": 0, "</s>": 1, "Ann": 2, "Bob": 3, **{f"word{index}": index for index in range(4, 320)}}
        library = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
        library.pre_tokenizer = pre_tokenizers.Whitespace()
        wordwise: Any = hf.PreTrainedTokenizerFast
        wordwise(tokenizer_object=library, eos_token="</s>", unk_token="<unk>").save_pretrained(folder)
    model, tokenizer = gptkit.load(f"hf:{folder}")
    expected = read_by_transformers(folder)
    tokens = torch.tensor([hf.AutoTokenizer.from_pretrained(folder)("Ann Bob").input_ids])
    assert tokens[0].tolist() == tokenizer.encode("Ann Bob")
    with torch.no_grad():
        assert torch.equal(model.logits(model(tokens)), expected(tokens).logits[..., : tokenizer.size])


def test_a_folder_without_a_tokenizer_takes_the_typed_one(llama: Path, tokenizer_folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (llama / name).unlink()
    with pytest.raises(ConfigError, match="the folder contains no tokenizer"):
        gptkit.load(f"hf:{llama}")
    settings = train(f"init_from=hf:{llama}", "tokenizer=hf", f"tokenizer.path={tokenizer_folder}").settings
    assert settings.tokenizer.path == str(tokenizer_folder)


def test_models_that_cannot_be_used_are_errors_of_one_line(tokenizer_folder: Path, tmp_path: Path) -> None:
    bert = hf.BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=320)
    hf.BertForMaskedLM(bert).save_pretrained(tmp_path / "bert")
    with pytest.raises(CheckpointError, match=rf"^hf:{tmp_path / 'bert'}: a model of type bert is not causal") as error:
        gptkit.load(f"hf:{tmp_path / 'bert'}")
    assert "\n" not in str(error.value)
    folder = save_model(tmp_path / "llama", "llama", tokenizer_folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ConfigError, match=r"model.path=") as error_of_weights:
        gptkit.load(f"hf:{folder}")
    assert "\n" not in str(error_of_weights.value)
