"""Tokenizers in the files that Hugging Face's `AutoTokenizer` reads: byte-level BPE, bytes and characters, out and in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Library

from gptkit.errors import CheckpointError, GptkitError
from gptkit.tokenizer import BPE, GPT2, Bytes, Char, Tokenizer
from gptkit.tokenizer.bpe import BuiltBPE
from gptkit.tokenizer.built import END_OF_TEXT, BuiltTokenizer
from gptkit.tokenizer.bytes import BuiltBytes
from gptkit.tokenizer.char import BuiltChar
from gptkit.tokenizer.gpt2 import from_folder

FILE, SETTINGS = "tokenizer.json", "tokenizer_config.json"


def write_tokenizer(tokenizer: BuiltTokenizer, folder: Path, *, context: int) -> list[str]:
    """Write `tokenizer.json` and `tokenizer_config.json`, and `vocab.json` and `merges.txt` for a BPE.

    Returns:
        What could not be written, in sentences.
    """
    if isinstance(tokenizer, BuiltBPE):
        library = _byte_level(tokenizer.vocabulary, tokenizer.merges)
        spelling = json.dumps(tokenizer.vocabulary, ensure_ascii=False)
        (folder / "vocab.json").write_text(spelling, encoding="utf-8")
        lines = ["#version: 0.2", *map(" ".join, tokenizer.merges), ""]
        (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
        name = "GPT2Tokenizer"
    elif isinstance(tokenizer, BuiltBytes):
        library, name = _byte_level(_byte_spellings(), []), "PreTrainedTokenizerFast"
    elif isinstance(tokenizer, BuiltChar):
        library, name = _characters(tokenizer.characters), "PreTrainedTokenizerFast"
    else:
        return [f"{type(tokenizer).__name__} has no form that transformers reads: the folder has weights and no tokenizer"]
    library.add_special_tokens([AddedToken(END_OF_TEXT, normalized=False, special=True)])
    library.save(str(folder / FILE))
    settings: dict[str, Any] = {
        "tokenizer_class": name,
        "model_max_length": context,
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT if name == "GPT2Tokenizer" else None,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
    }
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return []


def read_tokenizer(folder: Path, *, context: int) -> tuple[Tokenizer, BuiltTokenizer]:
    """The tokenizer of a Hugging Face folder, with the part that loads what it saves.

    Raises:
        CheckpointError: there is none, or it is of another kind.
    """
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8")) if (folder / FILE).is_file() else {}
        model = content.get("model") or {}
        if model.get("type") == "WordLevel":
            built = BuiltChar("".join(sorted((word for word in model["vocab"] if len(word) == 1), key=model["vocab"].__getitem__)))
            if {**dict(zip(built.characters, range(built.size), strict=False)), END_OF_TEXT: built.size - 1} != model["vocab"]:
                raise CheckpointError(f"{folder / FILE}: its words are not single characters")
            return Char(), built
        if model.get("type") == "BPE" and model.get("vocab") == _byte_spellings() and not model["merges"]:
            return Bytes(), BuiltBytes()
        bpe = from_folder(folder)
    except CheckpointError:
        raise
    except (GptkitError, OSError, ValueError) as error:
        raise CheckpointError(f"{folder} has no tokenizer that can be used: {error}".partition("\n")[0]) from None
    return (GPT2(path=str(folder)) if bpe.size == 50257 else BPE(size=bpe.size)), bpe


def _byte_level(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Library:
    library = Library(models.BPE(vocabulary, merges))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    library.decoder = decoders.ByteLevel()
    return library


def _byte_spellings() -> dict[str, int]:
    """GPT-2's printable spelling of each byte ("Language Models are Unsupervised Multitask Learners", released code) to the byte,
    then end-of-text."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    spelt = {chr(byte): byte for byte in plain} | {chr(256 + order): byte for order, byte in enumerate(others)}
    return dict(sorted(spelt.items(), key=lambda item: item[1])) | {END_OF_TEXT: 256}


def _characters(characters: str) -> Library:
    vocabulary = {character: index for index, character in enumerate(characters)} | {END_OF_TEXT: len(characters)}
    library = Library(models.WordLevel(vocabulary))
    library.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    library.decoder = decoders.Fuse()
    return library
