"""LoRA on models of transformers: linear layers and Conv1D, whole runs, export, and a base that is gone or has changed."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from gptkit_hf import HFModelConfig
from gptkit_peft import LoRAConfig
from peft_fixtures import Train
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

import gptkit
from gptkit.attention import DenseAttentionConfig
from gptkit.errors import CheckpointError
from gptkit.generation import generate
from gptkit.model.adapted import add_adapter, merge_adapter
from gptkit.training.checkpoints.load import open_checkpoint

LORA = ("adapter=lora", "adapter.rank=2")
LLAMA = hf.LlamaConfig(
    hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=32, vocab_size=300,
    max_position_embeddings=64, bos_token_id=0, eos_token_id=0, tie_word_embeddings=True,
)  # fmt: skip
GPT2 = hf.GPT2Config(n_layer=2, n_head=2, n_embd=16, n_positions=64, vocab_size=300, bos_token_id=0, eos_token_id=0)
CONFIGS: dict[str, Any] = {"llama": LLAMA, "gpt2": GPT2}


@pytest.fixture(params=["llama", "gpt2"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A small model and a tokenizer over bytes, as transformers saves them."""
    torch.manual_seed(1)
    hf.AutoModelForCausalLM.from_config(CONFIGS[request.param]).save_pretrained(tmp_path / "model")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    library = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(["<|endoftext|>", *alphabet])}, merges=[]))
    library.pre_tokenizer, library.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    library.add_special_tokens(["<|endoftext|>"])
    hf.PreTrainedTokenizerFast(tokenizer_object=library, eos_token="<|endoftext|>").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("kind", CONFIGS)
def test_off_is_bit_equal_and_merged_is_nearly_equal(kind: str, tmp_path: Path) -> None:
    CONFIGS[kind].save_pretrained(tmp_path)
    torch.manual_seed(0)
    settings = HFModelConfig(path=str(tmp_path), pretrained=False, context=16)
    model = settings.build(attention=DenseAttentionConfig(), vocabulary=300).eval()
    tokens = torch.tensor([[1, 5, 2, 7], [9, 9, 3, 4]])
    with torch.no_grad():
        before = model.logits(model(tokens))
        names = list(model.state_dict())
        add_adapter(model, LoRAConfig(rank=2), seed=0)
        assert torch.equal(model.logits(model(tokens)), before)
        adapted = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        assert len(adapted) == 2 * 2 * {"llama": 7, "gpt2": 4}[kind]
        assert not any("lm_head" in name for name in adapted)
        for name, parameter in model.named_parameters():
            if name in adapted:
                parameter.add_(0.02 * torch.randn_like(parameter))
        assert model.adapter is not None
        with model.adapter.disabled(model):
            assert torch.equal(model.logits(model(tokens)), before)
        changed = model.logits(model(tokens))
        assert not torch.equal(changed, before)
        merge_adapter(model)
        assert list(model.state_dict()) == names
        assert float((model.logits(model(tokens)) - changed).abs().max()) <= 1e-6 * float(changed.abs().max())


@pytest.mark.parametrize("objective", ["sft", "reward", "dpo", "ppo", "grpo"])
def test_every_objective_trains_an_adapter(train: Train, folder: Path, tmp_path: Path, objective: str) -> None:
    words = ["reward=rules", "reward.length=1", "objective.max_new_tokens=4", "objective.missing_end_of_text=null"]
    words = words if objective in ("ppo", "grpo") else []
    train("run", f"objective={objective}", "model=hf", f"model.path={folder}", "model.context=48", *words, *LORA)
    checkpoint = open_checkpoint(str(tmp_path / "run"))
    base = checkpoint.manifest.base
    assert base is not None
    assert (base.key, base.path) == ("model.path", str(folder.resolve()))
    assert all(".lora_" in name for name in load_file(checkpoint.folder / "adapter.safetensors"))
    assert sum(path.stat().st_size for path in checkpoint.folder.glob("*.safetensors")) < 20_000
    if objective == "reward":
        return
    model, tokenizer = gptkit.load(str(tmp_path / "run"))
    text = generate(model, tokenizer, ["what is"], max_new_tokens=6, temperature=0.0)[0][0].text
    gptkit.run(gptkit.compose("export", [f"checkpoint={tmp_path / 'run'}", f"to={tmp_path / 'out'}"]))
    exported = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    theirs = hf.AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = exported.generate(**theirs("what is", return_tensors="pt"), max_new_tokens=6, do_sample=False, pad_token_id=0)
    assert str(theirs.decode(ids[0])).removeprefix("what is").removesuffix("<|endoftext|>") == text


def test_init_from_hf_and_a_run_that_continues(train: Train, folder: Path, tmp_path: Path) -> None:
    words = [f"init_from=hf:{folder}", *LORA, "trainer.max_steps=4", "save.every=2", "save.keep=0", "model.context=48"]
    train("whole", *words)
    shutil.copytree(tmp_path / "whole/checkpoints/step-00000002", tmp_path / "split/checkpoints/step-00000002")
    train("split", *words)
    files = [tmp_path / run / "checkpoints/step-00000004/adapter.safetensors" for run in ("whole", "split")]
    assert files[0].read_bytes() == files[1].read_bytes()
    base = open_checkpoint(str(tmp_path / "whole")).manifest.base
    assert base is not None and base.path == f"hf:{folder.resolve()}"
    gptkit.load(str(tmp_path / "whole"))


def test_a_missing_or_changed_base_is_one_line(train: Train, folder: Path, tmp_path: Path) -> None:
    train("run", "model=hf", f"model.path={folder}", "model.context=48", *LORA)
    aside = folder.rename(tmp_path / "aside")
    with pytest.raises(
        CheckpointError, match=r"holds an adapter, and the model that it was trained on is not at \S+/model; move it"
    ):
        gptkit.load(str(tmp_path / "run"))
    net = hf.AutoModelForCausalLM.from_pretrained(aside)
    with torch.no_grad():
        next(net.parameters()).add_(0.1)
    net.save_pretrained(aside)
    aside.rename(folder)
    with pytest.raises(CheckpointError, match=r"the weights of \S+/model have changed since it was trained on them; restore them"):
        gptkit.load(str(tmp_path / "run"))
