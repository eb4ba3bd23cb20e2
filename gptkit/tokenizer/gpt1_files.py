"""GPT-1's own tokenizer, from the files of OpenAI or of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gptkit.errors import ConfigError, DataError
from gptkit.tokenizer.bpe import read_merges, read_vocabulary
from gptkit.tokenizer.gpt1 import CLEANINGS, LINE_BREAK, SUFFIX, GPT1Tokenizer
from gptkit.tokenizer.gpt2 import LIBRARY_FILE, read_library_file
from gptkit.tokenizer.published_files import download_files, local_folder

HUB_NAME = "openai-community/openai-gpt"
OPENAI, HUGGING_FACE = ("encoder_bpe_40000.json", "vocab_40000.bpe"), ("vocab.json", "merges.txt")


def load_published(path: str, cleaning: str) -> GPT1Tokenizer:
    """Load the tokenizer from published files.

    Args:
        path: a folder, a name on the hub, or `official` for OpenAI's model on the hub.
        cleaning: one of `CLEANINGS`.

    Raises:
        ConfigError: the folder does not exist, or the hub cannot be reached.
        DataError: the files do not contain a BPE like GPT-1's.
    """
    name = HUB_NAME if path == "official" else path
    folder = local_folder(name)
    tokenizer_class = CLEANINGS[cleaning]
    if folder is not None:
        return from_folder(folder, tokenizer_class)
    vocabulary, merges = download_files(name, HUGGING_FACE, alternative="tokenizer.path=<folder> reads your own files")
    return _read(vocabulary, merges, tokenizer_class)


def from_folder(folder: Path, tokenizer_class: type[GPT1Tokenizer]) -> GPT1Tokenizer:
    """Load encoder_bpe_40000.json and vocab_40000.bpe, vocab.json and merges.txt, or tokenizer.json from a folder.

    Raises:
        ConfigError: the folder has none of these files.
        DataError: the files do not contain a BPE like GPT-1's.
    """
    for vocabulary, merges in (OPENAI, HUGGING_FACE):
        if (folder / vocabulary).is_file() and (folder / merges).is_file():
            return _read(folder / vocabulary, folder / merges, tokenizer_class)
    if (folder / LIBRARY_FILE).is_file():
        return _build(folder / LIBRARY_FILE, *_from_library_file(folder / LIBRARY_FILE), tokenizer_class)
    expected = " nor ".join([" with ".join(OPENAI), " with ".join(HUGGING_FACE), LIBRARY_FILE])
    raise ConfigError(f"tokenizer.path={folder}: the folder has neither {expected}")


def is_gpt1(folder: Path) -> bool:
    """Return whether the tokenizer in a folder is like GPT-1's, whose symbols mark the end of a word.

    Raises:
        DataError: a file cannot be read.
    """
    if (folder / OPENAI[0]).is_file():
        return True
    if (folder / LIBRARY_FILE).is_file():
        return _model_of(folder / LIBRARY_FILE).get("end_of_word_suffix") == SUFFIX
    return (folder / HUGGING_FACE[0]).is_file() and LINE_BREAK in read_vocabulary(folder / HUGGING_FACE[0])


def _model_of(path: Path) -> dict[str, Any]:
    model = read_library_file(path).get("model")
    return model if isinstance(model, dict) else {}


def _from_library_file(path: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return entries and merges. The library writes a merge as a pair, or as a text with a space."""
    model = _model_of(path)
    vocabulary, merges = model.get("vocab"), model.get("merges")
    if not isinstance(vocabulary, dict) or not all(isinstance(token, int) for token in vocabulary.values()):
        raise DataError(f"{path} has no vocabulary that maps entries to ids")
    pairs: list[tuple[str, str]] = []
    for merge in merges if isinstance(merges, list) else [None]:
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(entry, str) for entry in pair)):
            raise DataError(f"{path} has a merge that is not a pair of entries: {merge!r}")
        pairs.append((pair[0], pair[1]))
    return vocabulary, pairs


def _read(vocabulary: Path, merges: Path, tokenizer_class: type[GPT1Tokenizer]) -> GPT1Tokenizer:
    return _build(vocabulary, read_vocabulary(vocabulary), read_merges(merges), tokenizer_class)


def _build(
    path: Path, vocabulary: dict[str, int], merges: list[tuple[str, str]], tokenizer_class: type[GPT1Tokenizer]
) -> GPT1Tokenizer:
    """Build the tokenizer.

    Raises:
        DataError: the entries are not a BPE like GPT-1's, or some entries result from no merge, in which case texts would be
            encoded to ids other than those of the model. The message names the file.
    """
    try:
        tokenizer = tokenizer_class(vocabulary, merges)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    merged = {left + right for left, right in merges}
    unreachable = [entry for entry in vocabulary if entry.endswith(SUFFIX) and len(entry) > len(SUFFIX) + 1 and entry not in merged]
    if unreachable:
        raise DataError(
            f"{path}: {len(unreachable):,} entries, such as {unreachable[0]!r}, result from none of the {len(merges):,} merges; "
            "is the file of the merges complete?"
        )
    return tokenizer
