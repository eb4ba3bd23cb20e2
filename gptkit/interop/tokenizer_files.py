"""Reads and writes the tokenizer files of Hugging Face's `AutoTokenizer`: BPE as in GPT-1 and GPT-2, bytes and characters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Library

from gptkit.errors import CheckpointError, DataError, GptkitError
from gptkit.interop.plugin_models import UnsupportedModelError
from gptkit.tokenizer import (
    BPETokenizerConfig,
    BytesTokenizerConfig,
    CharTokenizerConfig,
    GPT1TokenizerConfig,
    GPT2TokenizerConfig,
    TokenizerConfig,
    gpt1_files,
)
from gptkit.tokenizer.base import END_OF_TEXT, Tokenizer
from gptkit.tokenizer.bpe import BPETokenizer
from gptkit.tokenizer.bytes import BytesTokenizer
from gptkit.tokenizer.char import CharTokenizer
from gptkit.tokenizer.gpt1 import SAVED_FORMS, SUFFIX, UNKNOWN, GPT1Tokenizer, ReleasedGPT1Tokenizer, TransformersGPT1Tokenizer
from gptkit.tokenizer.gpt2 import PAIRS, UnsupportedTokenizerError, from_folder
from gptkit.user_files import read_json_file

FILE, SETTINGS = "tokenizer.json", "tokenizer_config.json"
CLEANING = "gptkit_cleaning"
"""The key of tokenizer_config.json that states how gptkit's GPT-1 tokenizer cleans text; transformers ignores it."""


def write_tokenizer(tokenizer: Tokenizer, folder: Path, *, context: int, added_tokens: Sequence[str] = ()) -> list[str]:
    """Write `tokenizer.json` and `tokenizer_config.json`, and `vocab.json` and `merges.txt` for a BPE.

    Args:
        tokenizer: the tokenizer.
        folder: an existing folder.
        context: the maximum sequence length of the model.
        added_tokens: names of the ids after those of the tokenizer.

    Returns:
        Sentences about parts that could not be written.
    """
    lacking, extra_settings = [], {}
    if isinstance(tokenizer, BPETokenizer):
        library, name = _byte_level_bpe(tokenizer.vocabulary, tokenizer.merges), "GPT2Tokenizer"
        _write_merges(tokenizer.vocabulary, tokenizer.merges, folder)
    elif isinstance(tokenizer, GPT1Tokenizer):
        library, name = _gpt1_bpe(tokenizer.vocabulary, tokenizer.merges), "OpenAIGPTTokenizer"
        _write_merges(tokenizer.vocabulary, tokenizer.merges, folder)
        extra_settings[CLEANING] = tokenizer.form
        if isinstance(tokenizer, ReleasedGPT1Tokenizer):
            lacking.append("transformers splits GPT-1's words by BERT's rules, not by spaCy's, so some texts get other ids")
    elif isinstance(tokenizer, BytesTokenizer):
        library, name = _byte_level_bpe(_byte_vocabulary(), []), "PreTrainedTokenizerFast"
    elif isinstance(tokenizer, CharTokenizer):
        library, name = _character_tokenizer(tokenizer.characters), "PreTrainedTokenizerFast"
    else:
        return [f"{type(tokenizer).__name__} cannot be written for transformers: the folder has weights but no tokenizer"]
    library.add_special_tokens([AddedToken(word, normalized=False, special=True) for word in (END_OF_TEXT, *added_tokens)])
    library.save(str(folder / FILE))
    settings: dict[str, Any] = {
        "tokenizer_class": name,
        "model_max_length": context,
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "unk_token": {"GPT2Tokenizer": END_OF_TEXT, "OpenAIGPTTokenizer": UNKNOWN}.get(name),
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        **extra_settings,
    }
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return lacking


def has_tokenizer(folder: Path) -> bool:
    """Return whether the folder has files of a tokenizer."""
    return any((folder / name).is_file() for name in (FILE, *(name for pair in PAIRS for name in pair))) or gpt1_files.is_gpt1(
        folder
    )


def read_tokenizer(folder: Path, *, context: int) -> tuple[TokenizerConfig, Tokenizer]:
    """Return the tokenizer of a Hugging Face folder, with the config that loads it from a checkpoint.

    Raises:
        UnsupportedModelError: the tokenizer is of an unsupported type.
        CheckpointError: there is no tokenizer, or a file is damaged.
    """
    try:
        content = _read_json(folder / FILE)
        model = content["model"] if isinstance(content.get("model"), dict) else {}
        if model.get("type") == "WordLevel" and isinstance(model.get("vocab"), dict):
            built = CharTokenizer(
                "".join(sorted((word for word in model["vocab"] if len(word) == 1), key=model["vocab"].__getitem__))
            )
            if {**dict(zip(built.characters, range(built.size), strict=False)), END_OF_TEXT: built.size - 1} != model["vocab"]:
                raise UnsupportedModelError(f"{folder / FILE}: the tokens are not single characters")
            return CharTokenizerConfig(), built
        if model.get("type") == "BPE" and model.get("vocab") == _byte_vocabulary() and not model.get("merges"):
            return BytesTokenizerConfig(), BytesTokenizer()
        if gpt1_files.is_gpt1(folder):
            form = _read_json(folder / SETTINGS).get(CLEANING, ReleasedGPT1Tokenizer.form)
            tokenizer_class = SAVED_FORMS.get(form) if isinstance(form, str) else None
            if tokenizer_class is None:
                raise DataError(f"{folder / SETTINGS}: {CLEANING} is {form!r}, and must be one of {', '.join(SAVED_FORMS)}")
            config = GPT1TokenizerConfig(path=str(folder), cleaning=tokenizer_class.cleaning)
            return config, gpt1_files.from_folder(folder, tokenizer_class)
        bpe = from_folder(folder)
    except CheckpointError:
        raise
    except UnsupportedTokenizerError as error:
        raise UnsupportedModelError(str(error)) from None
    except (GptkitError, OSError, ValueError) as error:
        raise CheckpointError(f"{folder} has no usable tokenizer: {error}".partition("\n")[0]) from None
    return (GPT2TokenizerConfig(path=str(folder)) if bpe.size == 50257 else BPETokenizerConfig(size=bpe.size)), bpe


def _read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty if there is no file."""
    content = read_json_file(path) if path.is_file() else {}
    if not isinstance(content, dict):
        raise DataError(f"{path} does not hold a JSON object")
    return content


def _write_merges(vocabulary: dict[str, int], merges: list[tuple[str, str]], folder: Path) -> None:
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, merges), ""]), encoding="utf-8")


def _gpt1_bpe(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Library:
    library = Library(models.BPE(vocabulary, merges, unk_token=UNKNOWN, end_of_word_suffix=SUFFIX))
    TransformersGPT1Tokenizer.set_word_splitting(library)
    library.decoder = decoders.BPEDecoder(suffix=SUFFIX)
    return library


def _byte_level_bpe(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Library:
    library = Library(models.BPE(vocabulary, merges))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    library.decoder = decoders.ByteLevel()
    return library


def _byte_vocabulary() -> dict[str, int]:
    """Return the byte for each of GPT-2's printable characters for bytes, and the id of end-of-text.

    Source: "Language Models are Unsupervised Multitask Learners", released code.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    byte_of = {chr(byte): byte for byte in printable} | {chr(256 + order): byte for order, byte in enumerate(others)}
    return dict(sorted(byte_of.items(), key=lambda item: item[1])) | {END_OF_TEXT: 256}


def _character_tokenizer(characters: str) -> Library:
    vocabulary = {character: index for index, character in enumerate(characters)} | {END_OF_TEXT: len(characters)}
    library = Library(models.WordLevel(vocabulary))
    library.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    library.decoder = decoders.Fuse()
    return library
