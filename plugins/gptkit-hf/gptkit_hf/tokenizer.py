"""A fast tokenizer of transformers as a gptkit `Tokenizer`. transformers only converts files; tokenizers encodes text."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tokenizers import AddedToken
from tokenizers import Tokenizer as Library

from gptkit.errors import CheckpointError, ConfigError
from gptkit.tokenizer import tokenizer_file
from gptkit.tokenizer.base import fingerprint_of
from gptkit.tokenizer.tokenizers_library import LibraryTokenizer

FILE, LIBRARY_FILE, SETTINGS_FILE, TEMPLATE_FILE = (
    "hf.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)


class HFTokenizer(LibraryTokenizer):
    """A fast tokenizer of transformers. `size` is one more than the largest id, because a vocabulary may have gaps."""

    def __init__(self, files: Mapping[str, str], end_of_text: int) -> None:
        """Create the tokenizer from the files that transformers saves.

        Args:
            files: content by file name. tokenizer.json determines the ids; transformers needs the others.
            end_of_text: id of the token that ends a text.
        """
        self.files = dict(files)
        self.library = Library.from_str(files[LIBRARY_FILE])
        self.library.encode_special_tokens = True  # encodes their spelling in a text as ordinary text
        self.library.no_padding()
        self.library.no_truncation()
        self.size = max(self.library.get_vocab(with_added_tokens=True).values()) + 1
        self.special = {"end_of_text": end_of_text}
        self.chat_template = _chat_template(files)
        self.fingerprint = fingerprint_of("hf", files[LIBRARY_FILE], str(end_of_text))

    def special_tokens(self) -> Mapping[str, int]:
        added: dict[int, AddedToken] = self.library.get_added_tokens_decoder()
        names = {token.content: index for index, token in added.items() if token.special}
        end = self.special["end_of_text"]
        return names if end in names.values() else {**names, str(self.library.id_to_token(end)): end}

    def named_tokens(self) -> Mapping[str, str]:
        settings = json.loads(self.files.get(SETTINGS_FILE, "{}"))
        names = {key: value.get("content") if isinstance(value, dict) else value for key, value in settings.items()}
        return {key: name for key, name in names.items() if key.endswith("_token") and isinstance(name, str)}

    def save(self, folder: Path) -> None:
        self.write_files(folder)
        content = {"files": sorted(self.files), "end_of_text": self.special["end_of_text"], "fingerprint": self.fingerprint}
        tokenizer_file.write(folder / FILE, content)

    def write_files(self, folder: Path) -> None:
        """Write the files that transformers' `AutoTokenizer` reads."""
        for name, content in self.files.items():
            (folder / name).write_text(content, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> HFTokenizer:
        """Load a tokenizer that `save` wrote. Needs neither transformers nor the original folder.

        Raises:
            CheckpointError: a file is missing, damaged or altered.
        """
        names, end_of_text, fingerprint = tokenizer_file.read(folder / FILE, "files", "end_of_text", "fingerprint")
        try:
            files = {name: (folder / Path(name).name).read_text(encoding="utf-8") for name in names}
            built = cls(files, end_of_text)
        except Exception as error:  # the library raises nothing more precise
            reason = " ".join(str(error).split())
            raise CheckpointError(f"{folder} does not contain a usable tokenizer ({reason}); use another checkpoint") from None
        tokenizer_file.check_fingerprint(folder, saved=fingerprint, actual=built.fingerprint)
        return built


def _chat_template(files: Mapping[str, str]) -> str:
    """Return the chat template of a tokenizer's files; of several, the one that is called default."""
    if TEMPLATE_FILE in files:
        return files[TEMPLATE_FILE]
    template = json.loads(files.get(SETTINGS_FILE, "{}")).get("chat_template")
    if isinstance(template, list):
        template = {each.get("name"): each.get("template") for each in template}.get("default")
    return template if isinstance(template, str) else ""


def from_transformers(path: str, end_of_text: str) -> HFTokenizer:
    """Load the tokenizer of a folder or of a name on the Hub.

    Args:
        path: as for `AutoTokenizer.from_pretrained`.
        end_of_text: spelling of the token that ends a text; auto: the tokenizer's EOS token.

    Raises:
        ConfigError: the tokenizer does not exist, is not a fast tokenizer, or has no token that ends a text.
    """
    from transformers import AutoTokenizer

    from gptkit_hf import source

    key = f"tokenizer.path={path}"
    where = source.locate(path, "tokenizer.path")
    if not source.has_tokenizer(path):
        raise ConfigError(f"{key}: the folder contains no tokenizer; choose another one, such as tokenizer=bpe")
    with source.one_line_errors(source.error_prefix("tokenizer.path", path)), tempfile.TemporaryDirectory() as folder:
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
        if not hasattr(tokenizer, "backend_tokenizer"):
            raise ConfigError(f"{key}: {type(tokenizer).__name__} is not a fast tokenizer; choose another tokenizer")
        tokenizer.save_pretrained(folder)
        files = {file.name: file.read_text(encoding="utf-8") for file in sorted(Path(folder).iterdir()) if file.is_file()}
    return HFTokenizer(files, _end_of_text_id(files[LIBRARY_FILE], end_of_text, tokenizer.eos_token, key))


def _end_of_text_id(library: str, end_of_text: str, eos: str | None, key: str) -> int:
    """Return the id of the token that ends a text."""
    content = json.loads(library)
    ids = Library.from_str(library).get_vocab(with_added_tokens=True)
    spelling = eos if end_of_text == "auto" else end_of_text
    if spelling is None:
        added = ", ".join(token["content"] for token in content.get("added_tokens") or []) or "none"
        raise ConfigError(
            f"{key}: the tokenizer defines no EOS token; set tokenizer.end_of_text to the spelling of one (special tokens: {added})"
        )
    if spelling not in ids:
        raise ConfigError(f"{key}: the tokenizer has no token {spelling}; set tokenizer.end_of_text to another spelling")
    return ids[spelling]
