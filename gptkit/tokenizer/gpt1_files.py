"""GPT-1's own tokenizer from its files: as OpenAI published them, or as the hub names them."""

from __future__ import annotations

from pathlib import Path

from gptkit.errors import ConfigError, DataError
from gptkit.tokenizer.bpe import read_merges, read_vocabulary
from gptkit.tokenizer.gpt1 import CLEANINGS, BuiltGPT1
from gptkit.tokenizer.hub import download, folder_of

HUB_NAME = "openai-community/openai-gpt"
PAIRS = (("encoder_bpe_40000.json", "vocab_40000.bpe"), ("vocab.json", "merges.txt"))


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
    vocabulary, merges = download(name, PAIRS[1], way_out="tokenizer.path=<folder> names your own files")
    return _read(vocabulary, merges, cleaning)


def from_folder(folder: Path, cleaning: str) -> BuiltGPT1:
    """The tokenizer of encoder_bpe_40000.json and vocab_40000.bpe, or of vocab.json and merges.txt.

    Raises:
        ConfigError: neither is there.
        DataError: they are not those of a BPE of GPT-1's kind.
    """
    for vocabulary, merges in PAIRS:
        if (folder / vocabulary).is_file() and (folder / merges).is_file():
            return _read(folder / vocabulary, folder / merges, cleaning)
    wanted = " nor ".join(" with ".join(pair) for pair in PAIRS)
    raise ConfigError(f"tokenizer.path={folder}: the folder has neither {wanted}")


def _read(vocabulary: Path, merges: Path, cleaning: str) -> BuiltGPT1:
    entries = read_vocabulary(vocabulary), read_merges(merges)
    try:
        return CLEANINGS[cleaning](*entries)
    except DataError as error:
        raise DataError(f"{vocabulary}: {error}") from None
