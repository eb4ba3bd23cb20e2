"""Runs with `model=hf`: training, loading without the original folder, continuing, exporting, and reading with transformers."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import gptkit
from gptkit.errors import ConfigError, DataError
from gptkit.generation import generate
from gptkit.training.checkpoints.load import load_objective

TWO_STEPS = ["+shrink=tiny", "trainer=cpu", "trainer.max_steps=2"]


def compose_settings(words: list[str]) -> Any:
    return gptkit.compose("train", words).settings


@pytest.fixture
def composed(model_folder: Path, text_file: Path, tmp_path: Path) -> tuple[Any, Path]:
    """A composed run of two steps, and a copy of its model's folder that tests may remove."""
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    words = [
        "model=hf",
        f"model.path={folder}",
        "data=text",
        f"data.path={text_file}",
        *TWO_STEPS,
        f"hydra.run.dir={tmp_path / 'run'}",
    ]
    return gptkit.compose("train", words), folder


def test_a_model_is_trained_loaded_sampled_and_exported(
    composed: tuple[Any, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, folder = composed
    settings = run.settings
    assert (settings.tokenizer.name, settings.tokenizer.path) == ("hf", str(folder))
    assert (settings.model.layers, settings.model.width, settings.model.context) == (
        2,
        48,
        32,
    )  # the sizes of the folder, except the context
    result = gptkit.run(run)
    assert (result["steps"], result["tokens"]) == (2, 2 * 4 * 32)
    start = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    shutil.rmtree(folder)

    model, own = gptkit.load(str(run.folder))  # without the original folder
    tokens = torch.tensor([own.encode("Ann and Bob met at the old mill")])
    changes = {name: (value - model.state_dict()[f"net.{name}"]).abs().max() for name, value in start.state_dict().items()}
    assert all(0 < change < 0.01 for change in changes.values())  # training started from the pretrained weights and changed them
    assert own.encode("Ann met Di.") == tokenizer("Ann met Di.").input_ids

    text = generate(model, own, ["Ann and", "Cy"], max_new_tokens=9, temperature=0.0)
    gptkit.run(gptkit.compose("export", [f"checkpoint={run.folder}", f"to={tmp_path / 'out'}"]))
    assert f"init_from=hf:{tmp_path / 'out'}" in capsys.readouterr().out
    exported = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        torch.testing.assert_close(exported(tokens).logits[..., : own.size], model.logits(model(tokens)))
    ids = exported.generate(**again("Ann and", return_tensors="pt"), max_new_tokens=9, do_sample=False, pad_token_id=0)
    assert str(again.decode(ids[0])).removesuffix("<|endoftext|>").removeprefix("Ann and") == text[0][0].text


def test_a_recipe_with_another_attention_uses_that_of_the_model(model_folder: Path, text_file: Path) -> None:
    words = ["+gpt3=125m", "model=hf", f"model.path={model_folder}", "model.context=32", "data=text", f"data.path={text_file}"]
    assert compose_settings(words).attention.name == "dense"
    assert compose_settings([*words, "attention=alternating"]).attention.name == "alternating"  # refused when the model is built
    with pytest.raises(
        ConfigError, match=r"attention\.window is a key of attention=alternating, but model=hf uses attention=dense"
    ):
        compose_settings([*words, "attention.window=8"])


@pytest.mark.parametrize(
    "config",
    [
        transformers.CodeGenConfig(n_layer=1, n_head=4, n_embd=16, n_positions=64, rotary_dim=2, vocab_size=320),
        transformers.RwkvConfig(context_length=64, hidden_size=16, num_hidden_layers=2, vocab_size=320),
    ],
    ids=lambda config: config.model_type,
)
def test_a_configuration_without_a_padding_token_is_exported_unchanged(
    config: Any, tokenizer_folder: Path, text_file: Path, tmp_path: Path
) -> None:
    assert not hasattr(config, "pad_token_id")
    config.bos_token_id = config.eos_token_id = 0
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "model")
    transformers.AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(tmp_path / "model")
    words = ["model=hf", f"model.path={tmp_path / 'model'}", "data=text", f"data.path={text_file}", *TWO_STEPS]
    gptkit.run(gptkit.compose("train", [*words, f"hydra.run.dir={tmp_path / 'run'}"]))
    gptkit.run(gptkit.compose("export", [f"checkpoint={tmp_path / 'run'}", f"to={tmp_path / 'out'}"]))
    original, exported_config = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("model", "out"))
    assert {key for key in original if "token_id" in key} == {key for key in exported_config if "token_id" in key}
    model: Any = gptkit.load(str(tmp_path / "run"))[0]
    tokens = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        exported = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
        torch.testing.assert_close(exported(tokens).logits[..., : model.vocabulary], model.logits(model(tokens)))


def test_an_infinite_number_in_a_configuration_is_saved(tokenizer_folder: Path, text_file: Path, tmp_path: Path) -> None:
    config = transformers.Mamba2Config(
        hidden_size=16, num_hidden_layers=1, vocab_size=320, state_size=4, num_heads=4, head_dim=8, n_groups=1, chunk_size=8
    )
    assert config.time_step_limit[1] == float("inf")
    transformers.Mamba2ForCausalLM(config).save_pretrained(tmp_path / "model")
    transformers.AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(tmp_path / "model")
    words = ["model=hf", f"model.path={tmp_path / 'model'}", "data=text", f"data.path={text_file}", *TWO_STEPS]
    words.append(f"hydra.run.dir={tmp_path / 'run'}")
    gptkit.run(gptkit.compose("train", words))
    assert gptkit.run(gptkit.compose("train", [*words, "trainer.max_steps=3"]))["steps"] == 3  # continued
    shutil.rmtree(tmp_path / "model")
    model: Any = gptkit.load(str(tmp_path / "run"))[0]
    assert list(model.net.config.time_step_limit) == [0.0, float("inf")]


def test_pretrained_false_starts_from_random_weights(model_folder: Path, text_file: Path, tmp_path: Path) -> None:
    words = ["model=hf", f"model.path={model_folder}", "model.pretrained=false", "tokenizer=bytes", "data=text"]
    run = gptkit.compose("train", [*words, f"data.path={text_file}", *TWO_STEPS, f"hydra.run.dir={tmp_path / 'run'}"])
    gptkit.run(run)
    model: Any
    model, tokenizer = gptkit.load(str(run.folder))
    start: Any = transformers.AutoModelForCausalLM.from_pretrained(model_folder)
    assert (model.net.transformer.wte.weight - start.transformer.wte.weight).abs().max() > 0.05
    gptkit.run(gptkit.compose("export", [f"checkpoint={run.folder}", f"to={tmp_path / 'out'}"]))  # with gptkit's own tokenizer
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert again("Ann, Bob").input_ids == tokenizer.encode("Ann, Bob")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["eos_token_id"] == tokenizer.special["end_of_text"]


def test_a_run_starts_from_the_weights_of_another_run(composed: tuple[Any, Path], text_file: Path, tmp_path: Path) -> None:
    run, folder = composed
    gptkit.run(run)
    shutil.rmtree(folder)
    words = [f"init_from={run.folder}", "data=text", f"data.path={text_file}", *TWO_STEPS, f"hydra.run.dir={tmp_path / 'second'}"]
    second: Any = gptkit.compose("train", words)
    assert (second.settings.model.name, second.settings.tokenizer.name) == ("hf", "hf")
    gptkit.run(second)
    assert (second.folder / "summary.json").is_file()


def test_fine_tuning_adds_rows_for_its_own_tokens(tokenizer_folder: Path, tmp_path: Path) -> None:
    size = len(transformers.AutoTokenizer.from_pretrained(tokenizer_folder))
    start = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=1, n_head=2, n_embd=16, n_positions=64, vocab_size=size))
    start.save_pretrained(tmp_path / "model")
    transformers.AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(tmp_path / "model")
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"Ann met {name},{name}\n" for name in ("Bob", "Di") * 8))
    words = ["objective=aux_lm", "data=labelled", f"data.path={tmp_path / 'a.csv'}", "model=hf", f"model.path={tmp_path / 'model'}"]
    run = gptkit.compose("train", [*words, *TWO_STEPS, "optimizer.lr=0", "samples.prompts=[]", f"hydra.run.dir={tmp_path / 'run'}"])
    gptkit.run(run)
    shutil.rmtree(tmp_path / "model")
    objective: Any = load_objective(str(run.folder))
    rows = objective.model.net.transformer.wte.weight
    assert rows.shape[0] == objective.model.vocabulary == size + 3
    assert torch.equal(rows[:size], start.transformer.wte.weight)
    model: Any = gptkit.load(str(run.folder))[0]
    assert model.net.transformer.wte.weight.shape[0] == model.vocabulary == size


def test_plan_counts_the_parameters(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gptkit.run(gptkit.compose("plan", ["model=hf", f"model.path={model_folder}", "+shrink=tiny", "format=json"]))
    parameters = json.loads(capsys.readouterr().out)["parameters"]
    model = transformers.AutoModelForCausalLM.from_pretrained(model_folder)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_pretrained_weights_require_their_tokenizer_and_random_weights_use_the_default(model_folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(model_folder / name, tmp_path / name)
    words = ["model=hf", f"model.path={tmp_path}", "+shrink=tiny"]
    assert compose_settings([*words, "model.pretrained=false"]).tokenizer.name == "bpe"
    assert compose_settings([*words, "tokenizer=bytes"]).tokenizer.name == "bytes"
    with pytest.raises(ConfigError, match="the folder contains no tokenizer; choose another one, such as tokenizer=bpe"):
        compose_settings(words).tokenizer.build(texts=[])


def test_a_key_of_a_tokenizer_that_the_model_replaces_is_an_error(model_folder: Path) -> None:
    words = ["model=hf", f"model.path={model_folder}", "+shrink=tiny"]
    with pytest.raises(ConfigError, match=r"tokenizer.size is a key of tokenizer=bpe, but model=hf uses tokenizer=hf") as error:
        gptkit.compose("train", [*words, "tokenizer.size=300"])
    assert "\n" not in str(error.value)
    assert compose_settings([*words, "tokenizer=bpe", "tokenizer.size=300"]).tokenizer.size == 300


@pytest.mark.parametrize("path", ["./nowhere", "nobody/nothing"])
def test_a_missing_model_is_an_error_of_one_line(path: str) -> None:
    with pytest.raises(ConfigError, match=rf"model.path={path}.*(the folder does not exist|is not a local folder)") as error:
        gptkit.compose("train", ["model=hf", f"model.path={path}", "+shrink=tiny"])
    assert "\n" not in str(error.value)


def test_a_context_beyond_the_limit_is_an_error_of_the_command_line(model_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"model.context=65 is more than the 64 positions"):
        gptkit.compose("train", ["model=hf", f"model.path={model_folder}", "model.context=65"])


def test_weights_without_a_tensor_are_an_error(model_folder: Path, text_file: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "incomplete"
    shutil.copytree(model_folder, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["transformer.h.1.mlp.c_fc.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    words = [
        "model=hf",
        f"model.path={folder}",
        "data=text",
        f"data.path={text_file}",
        *TWO_STEPS,
        f"hydra.run.dir={tmp_path / 'run'}",
    ]
    with pytest.raises(Exception, match=r"lack transformer.h.1.mlp.c_fc.weight"):
        gptkit.run(gptkit.compose("train", words))


def test_training_uses_the_validation_split_of_a_dataset(model_folder: Path, tmp_path: Path) -> None:
    for name, count in (("train", 60), ("validation", 20)):
        lines = [json.dumps({"text": f"Row {row} of a tale about Ann, Bob, Cy and the sea."}) for row in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    words = ["model=hf", f"model.path={model_folder}", "data=hf", f"data.path={tmp_path}", *TWO_STEPS]
    result = gptkit.run(gptkit.compose("train", [*words, f"hydra.run.dir={tmp_path / 'run'}"]))
    assert result["val_loss"] > 0


def test_a_missing_dataset_is_an_error() -> None:
    with pytest.raises(DataError, match=r"data.path=./nowhere: the file or folder does not exist"):
        compose_settings(["data=hf", "data.path=./nowhere"]).data.build()


@pytest.mark.parametrize("layers", [1, None])
def test_fine_tuning_transfers_the_configured_number_of_blocks(layers: int | None, model_folder: Path, tmp_path: Path) -> None:
    rows = [json.dumps({"text": f"Ann met Bob {n} times", "label": ["no", "yes"][n % 2]}) for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    words = ["+gpt1=finetune", "model=hf", f"model.path={model_folder}", "data=labelled", f"data.path={tmp_path / 'rows.jsonl'}"]
    words += [*TWO_STEPS, "optimizer.lr=0", f"objective.transfer_layers={layers or 'null'}", f"hydra.run.dir={tmp_path / 'run'}"]
    gptkit.run(gptkit.compose("train", words))
    state = gptkit.load(str(tmp_path / "run"))[0].state_dict()
    pretrained = transformers.AutoModelForCausalLM.from_pretrained(model_folder).state_dict()
    names = {f"transformer.h.{block}.attn.c_attn.weight": block for block in (0, 1)}
    for name, block in names.items():
        (loaded,) = (tensor for other, tensor in state.items() if other.endswith(name))
        assert torch.equal(loaded, pretrained[name]) == (layers is None or block < layers)


def test_predict_reads_the_same_columns_as_training(tmp_path: Path) -> None:
    rows = [json.dumps({"sentence": f"Ann met Bob {n} times", "gold": ["no", "yes"][n % 2]}) for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    words = ["+gpt1=finetune", "data=hf", f"data.path={tmp_path / 'rows.jsonl'}", "data.records=examples"]
    words += ["data.columns={text:sentence,label:gold}", "tokenizer=bytes", *TWO_STEPS, f"hydra.run.dir={tmp_path / 'run'}"]
    gptkit.run(gptkit.compose("train", words))
    table = [f"checkpoint={tmp_path / 'run'}", f"input={tmp_path / 'rows.jsonl'}", f"output={tmp_path / 'out.csv'}"]
    assert 0 <= gptkit.run(gptkit.compose("predict", table))["accuracy"] <= 1
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 21
