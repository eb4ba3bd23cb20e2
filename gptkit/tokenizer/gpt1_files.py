"""GPT-1's own tokenizer from its files: as OpenAI published them, or as the hub names them."""

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
    """The tokenizer of these files.

    Args:
        path: a folder, a name on the hub, or official: OpenAI's model on the hub.
        cleaning: one of `CLEANINGS`.

    Raises:
        ConfigError: there is no such folder, or the hub cannot be asked.
        DataError: the files are not those of a BPE of GPT-1's kind.
    """
    name = HUB_NAME if path == "official" else path
    folder = local_folder(name)
    kind = CLEANINGS[cleaning]
    if folder is not None:
        return from_folder(folder, kind)
    vocabulary, merges = download_files(name, HUGGING_FACE, way_out="tokenizer.path=<folder> names your own files")
    return _read(vocabulary, merges, kind)


def from_folder(folder: Path, kind: type[GPT1Tokenizer]) -> GPT1Tokenizer:
    """The tokenizer of encoder_bpe_40000.json and vocab_40000.bpe, of vocab.json and merges.txt, or of tokenizer.json.

    Raises:
        ConfigError: none of them is there.
        DataError: they are not those of a BPE of GPT-1's kind.
    """
    for vocabulary, merges in (OPENAI, HUGGING_FACE):
        if (folder / vocabulary).is_file() and (folder / merges).is_file():
            return _read(folder / vocabulary, folder / merges, kind)
    if (folder / LIBRARY_FILE).is_file():
        return _build(folder / LIBRARY_FILE, *_from_library_file(folder / LIBRARY_FILE), kind)
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
        return _model_of(folder / LIBRARY_FILE).get("end_of_word_suffix") == SUFFIX
    return (folder / HUGGING_FACE[0]).is_file() and LINE_BREAK in read_vocabulary(folder / HUGGING_FACE[0])


def _model_of(path: Path) -> dict[str, Any]:
    model = read_library_file(path).get("model")
    return model if isinstance(model, dict) else {}


def _from_library_file(path: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Entries and merges, which the library writes as pairs, or with a space between both."""
    model = _model_of(path)
    vocabulary, merges = model.get("vocab"), model.get("merges")
    if not isinstance(vocabulary, dict) or not all(isinstance(token, int) for token in vocabulary.values()):
        raise DataError(f"{path} has no vocabulary that maps entries to ids")
    pairs: list[tuple[str, str]] = []
    for merge in merges if isinstance(merges, list) else [None]:
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(entry, str) for entry in pair)):
            raise DataError(f"{path} has merges that are no pairs of entries: {merge!r}")
        pairs.append((pair[0], pair[1]))
    return vocabulary, pairs


def _read(vocabulary: Path, merges: Path, kind: type[GPT1Tokenizer]) -> GPT1Tokenizer:
    return _build(vocabulary, read_vocabulary(vocabulary), read_merges(merges), kind)


def _build(path: Path, vocabulary: dict[str, int], merges: list[tuple[str, str]], kind: type[GPT1Tokenizer]) -> GPT1Tokenizer:
    """The tokenizer; its complaints name the file.

    Raises:
        DataError: the entries are no BPE of GPT-1's kind, or some come from no merge: others than the model's ids would come out.
    """
    try:
        built = kind(vocabulary, merges)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    made = {left + right for left, right in merges}
    lost = [entry for entry in vocabulary if entry.endswith(SUFFIX) and len(entry) > len(SUFFIX) + 1 and entry not in made]
    if lost:
        raise DataError(
            f"{path}: {len(lost):,} entries, such as {lost[0]!r}, come from none of the {len(merges):,} merges; is the file whole?"
        )
    return built
