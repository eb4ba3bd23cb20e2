"""Fixtures for all tests: a small model, a tokenizer and a text. Tests use temporary caches and no network."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="gptkit-hf-tests-")
os.environ["GPTKIT_CACHE"] = os.path.join(os.environ["HF_HOME"], "gptkit")

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)
transformers.utils.logging.disable_progress_bar()

END = "<|endoftext|>"
TEXT = "".join(
    f"{a} and {b} met at the old mill, {n} steps from the sea.\n" for n in range(40) for a, b in [("Ann", "Bob"), ("Cy", "Di")]
)


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer of at most 300 ids, as transformers saves it."""
    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, special_tokens=[END], show_progress=False)
    library.train_from_iterator([TEXT], trainer)
    folder = tmp_path_factory.mktemp("tokenizer")
    transformers.PreTrainedTokenizerFast(tokenizer_object=library, eos_token=END, bos_token=END).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """A GPT-2 of two layers with tied weights, a vocabulary padded to 320, and its tokenizer."""
    torch.manual_seed(1)
    config = transformers.GPT2Config(n_layer=2, n_head=2, n_embd=48, n_positions=64, vocab_size=320, bos_token_id=0, eos_token_id=0)
    folder = tmp_path_factory.mktemp("gpt2")
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    return folder


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """A text of eighty lines."""
    path = tmp_path / "x.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path
