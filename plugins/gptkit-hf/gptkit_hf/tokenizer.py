"""A tokenizer of transformers behind the kit's interface: transformers converts files, the tokenizers library does the rest."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tokenizers import Tokenizer as Library

from gptkit.errors import CheckpointError, ConfigError
from gptkit.tokenizer import tokenizer_file
from gptkit.tokenizer.base import fingerprint_of
from gptkit.tokenizer.tokenizers_library import LibraryTokenizer

FILE, LIBRARY_FILE = "hf.json", "tokenizer.json"


class HFTokenizer(LibraryTokenizer):
    """Ids below `size`, which is one more than the largest: a vocabulary may have holes."""

    def __init__(self, files: Mapping[str, str], end_of_text: int) -> None:
        """The tokenizer of these files, as transformers saves them.

        Args:
            files: their content by name; tokenizer.json decides the ids, the others are for transformers.
            end_of_text: id of the token that ends a text.
        """
        self.files = dict(files)
        self.library = Library.from_str(files[LIBRARY_FILE])
        self.library.encode_special_tokens = True  # spelt in a text they are text
        self.library.no_padding()
        self.library.no_truncation()
        self.size = max(self.library.get_vocab(with_added_tokens=True).values()) + 1
        self.special = {"end_of_text": end_of_text}
        self.fingerprint = fingerprint_of("hf", files[LIBRARY_FILE], str(end_of_text))

    def save(self, folder: Path) -> None:
        self.write_files(folder)
        content = {"files": sorted(self.files), "end_of_text": self.special["end_of_text"], "fingerprint": self.fingerprint}
        tokenizer_file.write(folder / FILE, content)

    def write_files(self, folder: Path) -> None:
        """The files from which transformers' `AutoTokenizer` makes it again."""
        for name, content in self.files.items():
            (folder / name).write_text(content, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> HFTokenizer:
        """Read back what `save` wrote; needs neither transformers nor what it was made from.

        Raises:
            CheckpointError: a file is missing, torn or altered.
        """
        names, end_of_text, fingerprint = tokenizer_file.read(folder / FILE, "files", "end_of_text", "fingerprint")
        try:
            files = {name: (folder / Path(name).name).read_text(encoding="utf-8") for name in names}
            built = cls(files, end_of_text)
        except Exception as error:  # the library raises nothing more precise
            reason = " ".join(str(error).split())
            raise CheckpointError(f"{folder} holds no tokenizer that can be used ({reason}); use another checkpoint") from None
        tokenizer_file.check_fingerprint(folder, saved=fingerprint, found=built.fingerprint)
        return built


def from_transformers(path: str, end_of_text: str) -> HFTokenizer:
    """The tokenizer of a folder or of a name on the hub.

    Args:
        path: as `AutoTokenizer.from_pretrained` takes it.
        end_of_text: how the token that ends a text is spelt, or auto: the tokenizer's eos token.

    Raises:
        ConfigError: there is none, it is none that the tokenizers library runs, or it has no token that ends a text.
    """
    from transformers import AutoTokenizer

    from gptkit_hf import source

    key = f"tokenizer.path={path}"
    where = source.locate(path, "tokenizer.path")
    if not source.has_tokenizer(path):
        raise ConfigError(f"{key}: the folder holds no tokenizer; name another one, such as tokenizer=bpe")
    with source.one_line(source.asked("tokenizer.path", path)), tempfile.TemporaryDirectory() as folder:
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
        if not hasattr(tokenizer, "backend_tokenizer"):
            raise ConfigError(f"{key}: {type(tokenizer).__name__} is none that the tokenizers library runs; name another tokenizer")
        tokenizer.save_pretrained(folder)
        files = {file.name: file.read_text(encoding="utf-8") for file in sorted(Path(folder).iterdir()) if file.is_file()}
    return HFTokenizer(files, _end_of_text(files[LIBRARY_FILE], end_of_text, tokenizer.eos_token, key))


def _end_of_text(library: str, wanted: str, eos: str | None, key: str) -> int:
    content = json.loads(library)
    ids = Library.from_str(library).get_vocab(with_added_tokens=True)
    spelling = eos if wanted == "auto" else wanted
    if spelling is None:
        added = ", ".join(token["content"] for token in content.get("added_tokens") or []) or "none"
        raise ConfigError(
            f"{key}: the tokenizer names no token that ends a text; give tokenizer.end_of_text its spelling (special: {added})"
        )
    if spelling not in ids:
        raise ConfigError(f"{key}: the tokenizer has no token {spelling}; give tokenizer.end_of_text another spelling")
    return ids[spelling]
