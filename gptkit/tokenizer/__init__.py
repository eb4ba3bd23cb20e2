"""Tokenizers: the configs of the built-in `bytes`, `char`, `bpe`, `gpt1` and `gpt2`, and the hook that registers them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from gptkit.constraints import VOCABULARY, at_least, at_most, not_empty, one_of
from gptkit.hookspecs import hookimpl
from gptkit.parts import Part

if TYPE_CHECKING:
    from gptkit.tokenizer.base import Tokenizer


@dataclass
class TokenizerConfig(Part):
    """Conversion of text to token ids and back.

    To write one, subclass this class, set `name` to its default, add fields, and implement `build` and `load`, which return a
    `gptkit.tokenizer.base.Tokenizer`. Tokenizers share no keys.
    """

    name: str = ""

    def build(self, *, texts: Iterable[str]) -> Tokenizer:
        """Build the tokenizer. Tokenizers that are trained are trained on `texts`, which streams the training text of the run."""
        raise NotImplementedError(f"{type(self).__name__} does not implement build()")

    def load(self, folder: Path) -> Tokenizer:
        """Load a tokenizer that `Tokenizer.save` saved. The tokenizer of a checkpoint needs only its folder."""
        raise NotImplementedError(f"{type(self).__name__} does not implement load()")

    def vocabulary_size(self) -> int | None:
        """Return the number of ids, for `gptkit plan`; None if it depends on the training text."""
        return None


@dataclass
class BytesTokenizerConfig(TokenizerConfig):
    """One token per byte of UTF-8, and end-of-text: 257 ids. It needs no training and encodes any text."""

    name: str = "bytes"

    def build(self, *, texts: Iterable[str]) -> Tokenizer:
        from gptkit.tokenizer.bytes import BytesTokenizer

        return BytesTokenizer()

    def load(self, folder: Path) -> Tokenizer:
        from gptkit.tokenizer.bytes import BytesTokenizer

        return BytesTokenizer.load(folder)

    def vocabulary_size(self) -> int:
        return 257


@dataclass
class CharTokenizerConfig(TokenizerConfig):
    """One token per character that occurs in the training text, and end-of-text."""

    name: str = "char"

    def build(self, *, texts: Iterable[str]) -> Tokenizer:
        from gptkit.tokenizer.char import CharTokenizer

        return CharTokenizer.train(texts)

    def load(self, folder: Path) -> Tokenizer:
        from gptkit.tokenizer.char import CharTokenizer

        return CharTokenizer.load(folder)


@dataclass
class BPETokenizerConfig(TokenizerConfig):
    """Byte-level BPE trained on the training text, which is split into words as in GPT-2.

    Source: "Language Models are Unsupervised Multitask Learners", section 2.2.
    """

    name: str = "bpe"
    size: Annotated[int, "number of ids: 256 bytes, end-of-text, and merges", at_least(257), at_most(VOCABULARY)] = 8192

    def build(self, *, texts: Iterable[str]) -> Tokenizer:
        from gptkit.tokenizer.bpe import BPETokenizer

        return BPETokenizer.train(texts, size=self.size)

    def load(self, folder: Path) -> Tokenizer:
        from gptkit.tokenizer.bpe import BPETokenizer

        return BPETokenizer.load(folder)

    def vocabulary_size(self) -> int:
        return self.size


@dataclass
class GPT1TokenizerConfig(TokenizerConfig):
    """GPT-1's BPE: merges of characters within cleaned, lower-case words. Official or trained on the training text.

    Source: "Improving Language Understanding by Generative Pre-Training", section 4.1, and its released code. The official
    vocabulary has 40,478 ids: the unknown symbol, 238 characters, the same characters at the end of a word, 40,000 merges, and a
    line break. The end-of-text token is added after them.
    """

    name: str = "gpt1"
    path: Annotated[
        str,
        "empty: trained on the training text; official: OpenAI's, from the hub; or a folder with encoder_bpe_40000.json and "
        "vocab_40000.bpe (or vocab.json and merges.txt), or a hub name",
    ] = ""
    size: Annotated[
        int,
        "number of ids of a trained tokenizer: the unknown symbol, 238 characters twice, merges, line break, end-of-text",
        at_least(480),
        at_most(VOCABULARY),
    ] = 40_479
    cleaning: Annotated[
        str,
        "openai: ftfy, standardised punctuation and spaCy's word splitting, as in the released code (needs gptkit[gpt1]); "
        "transformers: removed accents and BERT's word splitting, as in transformers 5",
        one_of("openai", "transformers"),
    ] = "openai"

    def build(self, *, texts: Iterable[str]) -> Tokenizer:
        from gptkit.tokenizer.gpt1 import CLEANINGS
        from gptkit.tokenizer.gpt1_files import load_published

        return load_published(self.path, self.cleaning) if self.path else CLEANINGS[self.cleaning].train(texts, size=self.size)

    def load(self, folder: Path) -> Tokenizer:
        from gptkit.tokenizer.gpt1 import load

        return load(folder)

    def vocabulary_size(self) -> int:
        return 40_479 if self.path else self.size


@dataclass
class GPT2TokenizerConfig(TokenizerConfig):
    """GPT-2's own byte-level BPE: 50,257 ids from the official files.

    Source: "Language Models are Unsupervised Multitask Learners", section 2.2.
    """

    name: str = "gpt2"
    path: Annotated[
        str,
        "a folder with encoder.json and vocab.bpe (or vocab.json and merges.txt, or tokenizer.json), or a hub name; "
        "auto: an installed package that contains the files, else the hub",
        not_empty,
    ] = "auto"

    def build(self, *, texts: Iterable[str]) -> Tokenizer:
        from gptkit.tokenizer.gpt2 import load_published

        return load_published(self.path)

    def load(self, folder: Path) -> Tokenizer:
        from gptkit.tokenizer.bpe import BPETokenizer

        return BPETokenizer.load(folder)

    def vocabulary_size(self) -> int:
        return 50_257


@hookimpl
def gptkit_tokenizer() -> list[type[TokenizerConfig]]:
    return [BytesTokenizerConfig, CharTokenizerConfig, BPETokenizerConfig, GPT1TokenizerConfig, GPT2TokenizerConfig]
