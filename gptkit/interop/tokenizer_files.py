"""Tokenizers in the files that Hugging Face's `AutoTokenizer` reads: BPE of GPT-1's and GPT-2's kind, bytes and characters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Library

from gptkit.errors import CheckpointError, DataError, GptkitError
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
from gptkit.tokenizer.gpt2 import PAIRS, from_folder
from gptkit.user_files import read_json_file

FILE, SETTINGS = "tokenizer.json", "tokenizer_config.json"
CLEANING = "gptkit_cleaning"
"""The key of tokenizer_config.json that keeps how a GPT-1 tokenizer of the kit cleans text; transformers passes it over."""


def write_tokenizer(tokenizer: Tokenizer, folder: Path, *, context: int, added: Sequence[str] = ()) -> list[str]:
    """Write `tokenizer.json` and `tokenizer_config.json`, and `vocab.json` and `merges.txt` for a BPE.

    Args:
        context: longest sequence of the model.
        added: what the ids behind the tokenizer's own are called.

    Returns:
        What could not be written, in sentences.
    """
    lacking, own = [], {}
    if isinstance(tokenizer, BPETokenizer):
        library, name = _byte_level_bpe(tokenizer.vocabulary, tokenizer.merges), "GPT2Tokenizer"
        _write_merges(tokenizer.vocabulary, tokenizer.merges, folder)
    elif isinstance(tokenizer, GPT1Tokenizer):
        library, name = _gpt1_bpe(tokenizer.vocabulary, tokenizer.merges), "OpenAIGPTTokenizer"
        _write_merges(tokenizer.vocabulary, tokenizer.merges, folder)
        own[CLEANING] = tokenizer.form
        if isinstance(tokenizer, ReleasedGPT1Tokenizer):
            lacking.append("transformers splits GPT-1's words by BERT's rules, not by spaCy's: it gives some texts other ids")
    elif isinstance(tokenizer, BytesTokenizer):
        library, name = _byte_level_bpe(_byte_vocabulary(), []), "PreTrainedTokenizerFast"
    elif isinstance(tokenizer, CharTokenizer):
        library, name = _character_tokenizer(tokenizer.characters), "PreTrainedTokenizerFast"
    else:
        return [f"{type(tokenizer).__name__} has no form that transformers reads: the folder has weights and no tokenizer"]
    library.add_special_tokens([AddedToken(word, normalized=False, special=True) for word in (END_OF_TEXT, *added)])
    library.save(str(folder / FILE))
    settings: dict[str, Any] = {
        "tokenizer_class": name,
        "model_max_length": context,
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "unk_token": {"GPT2Tokenizer": END_OF_TEXT, "OpenAIGPTTokenizer": UNKNOWN}.get(name),
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        **own,
    }
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return lacking


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder has files that a tokenizer could be read from."""
    return any((folder / name).is_file() for name in (FILE, *(name for pair in PAIRS for name in pair))) or gpt1_files.is_gpt1(
        folder
    )


def read_tokenizer(folder: Path, *, context: int) -> tuple[TokenizerConfig, Tokenizer]:
    """The tokenizer of a Hugging Face folder, with the part that loads what it saves.

    Raises:
        CheckpointError: there is none, or it is of another kind.
    """
    try:
        content = _read_json(folder / FILE)
        model = content["model"] if isinstance(content.get("model"), dict) else {}
        if model.get("type") == "WordLevel" and isinstance(model.get("vocab"), dict):
            built = CharTokenizer(
                "".join(sorted((word for word in model["vocab"] if len(word) == 1), key=model["vocab"].__getitem__))
            )
            if {**dict(zip(built.characters, range(built.size), strict=False)), END_OF_TEXT: built.size - 1} != model["vocab"]:
                raise CheckpointError(f"{folder / FILE}: its words are not single characters")
            return CharTokenizerConfig(), built
        if model.get("type") == "BPE" and model.get("vocab") == _byte_vocabulary() and not model.get("merges"):
            return BytesTokenizerConfig(), BytesTokenizer()
        if gpt1_files.is_gpt1(folder):
            form = _read_json(folder / SETTINGS).get(CLEANING, ReleasedGPT1Tokenizer.form)
            kind = SAVED_FORMS.get(form) if isinstance(form, str) else None
            if kind is None:
                raise DataError(f"{folder / SETTINGS}: {CLEANING} is {form!r}, and must be one of {', '.join(SAVED_FORMS)}")
            return GPT1TokenizerConfig(path=str(folder), cleaning=kind.cleaning), gpt1_files.from_folder(folder, kind)
        bpe = from_folder(folder)
    except CheckpointError:
        raise
    except (GptkitError, OSError, ValueError) as error:
        raise CheckpointError(f"{folder} has no tokenizer that can be used: {error}".partition("\n")[0]) from None
    return (GPT2TokenizerConfig(path=str(folder)) if bpe.size == 50257 else BPETokenizerConfig(size=bpe.size)), bpe


def _read_json(path: Path) -> dict[str, Any]:
    """The object that the file holds; an empty one where there is no file."""
    content = read_json_file(path) if path.is_file() else {}
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object")
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
    """GPT-2's printable spelling of each byte ("Language Models are Unsupervised Multitask Learners", released code) to the byte,
    then end-of-text."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    spelt = {chr(byte): byte for byte in plain} | {chr(256 + order): byte for order, byte in enumerate(others)}
    return dict(sorted(spelt.items(), key=lambda item: item[1])) | {END_OF_TEXT: 256}


def _character_tokenizer(characters: str) -> Library:
    vocabulary = {character: index for index, character in enumerate(characters)} | {END_OF_TEXT: len(characters)}
    library = Library(models.WordLevel(vocabulary))
    library.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    library.decoder = decoders.Fuse()
    return library
