"""GPT-1's own tokenizer from its files: as OpenAI published them, or as the hub names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gptkit.errors import ConfigError, DataError
from gptkit.tokenizer.bpe import read_merges, read_vocabulary
from gptkit.tokenizer.gpt1 import CLEANINGS, LINE_BREAK, SUFFIX, BuiltGPT1
from gptkit.tokenizer.gpt2 import LIBRARY_FILE, read_library_file
from gptkit.tokenizer.hub import download, folder_of

HUB_NAME = "openai-community/openai-gpt"
OPENAI, HUGGING_FACE = ("encoder_bpe_40000.json", "vocab_40000.bpe"), ("vocab.json", "merges.txt")


def official(path: str, cleaning: str) -> BuiltGPT1:
    """The tokenizer of these files.

    Args:
        path: a folder, a name on the hub, or official: OpenAI's model on the hub.
        cleaning: one of `CLEANINGS`.

    Raises:
        ConfigError: there is no such folder, or the hub cannot be asked.
        DataError: the files are not those of a BPE of GPT-1's kind.
    """
    name = HUB_NAME if path == "official" else path
    folder = folder_of(name)
    if folder is not None:
        return from_folder(folder, cleaning)
    vocabulary, merges = download(name, HUGGING_FACE, way_out="tokenizer.path=<folder> names your own files")
    return _read(vocabulary, merges, cleaning)


def from_folder(folder: Path, cleaning: str) -> BuiltGPT1:
    """The tokenizer of encoder_bpe_40000.json and vocab_40000.bpe, of vocab.json and merges.txt, or of tokenizer.json.

    Raises:
        ConfigError: none of them is there.
        DataError: they are not those of a BPE of GPT-1's kind.
    """
    for vocabulary, merges in (OPENAI, HUGGING_FACE):
        if (folder / vocabulary).is_file() and (folder / merges).is_file():
            return _read(folder / vocabulary, folder / merges, cleaning)
    if (folder / LIBRARY_FILE).is_file():
        model = read_library_file(folder / LIBRARY_FILE).get("model") or {}
        pairs = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model.get("merges") or []]
        return _named(folder / LIBRARY_FILE, model.get("vocab") or {}, pairs, cleaning)
    wanted = " nor ".join([" with ".join(OPENAI), " with ".join(HUGGING_FACE), LIBRARY_FILE])
    raise ConfigError(f"tokenizer.path={folder}: the folder has neither {wanted}")


def is_gpt1(folder: Path) -> bool:
    """Whether the tokenizer of a folder, which may be of any kind, is one of GPT-1's: its symbols say where a word ends.

    Raises:
        DataError: a file cannot be read.
    """
    if (folder / OPENAI[0]).is_file():
        return True
    if (folder / LIBRARY_FILE).is_file():
        return (read_library_file(folder / LIBRARY_FILE).get("model") or {}).get("end_of_word_suffix") == SUFFIX
    return (folder / HUGGING_FACE[0]).is_file() and LINE_BREAK in read_vocabulary(folder / HUGGING_FACE[0])


def _read(vocabulary: Path, merges: Path, cleaning: str) -> BuiltGPT1:
    return _named(vocabulary, read_vocabulary(vocabulary), read_merges(merges), cleaning)


def _named(path: Path, vocabulary: dict[str, int], merges: list[Any], cleaning: str) -> BuiltGPT1:
    """The tokenizer; its complaints name the file."""
    try:
        return CLEANINGS[cleaning](vocabulary, merges)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
