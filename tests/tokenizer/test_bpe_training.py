"""Training of merges: long words, errors while reading, and Ctrl-C."""

from __future__ import annotations

import json
import random
import signal
import threading
from collections.abc import Iterator

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from gptkit.errors import DataError
from gptkit.tokenizer import BPETokenizerConfig, GPT1TokenizerConfig
from gptkit.tokenizer.bpe import BPETokenizer
from gptkit.tokenizer.bpe_training import MAX_WORD_LENGTH


def library_merges(texts: list[str], size: int) -> list[tuple[str, str]]:
    """Return the merges that the library learns without a limit on words."""
    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size - 1, min_frequency=2, initial_alphabet=alphabet, show_progress=False)
    library.train_from_iterator(texts, trainer=trainer)
    return [(left, right) for left, right in json.loads(library.to_str())["model"]["merges"]]


def test_merges_of_ordinary_text_are_those_of_the_library() -> None:
    generator = random.Random(0)
    words = ["naïve", "words", "don't", "\n\n", "1984", "---" * 20, "漢字かな交じり文" * 20, "x" * (MAX_WORD_LENGTH - 1)]
    texts = [" ".join(generator.choices(words, k=200)) for _ in range(5)]
    assert BPETokenizer.train(texts, size=400).merges == library_merges(texts, 400)


@pytest.mark.parametrize(
    "part", [BPETokenizerConfig(size=500), GPT1TokenizerConfig(size=500), GPT1TokenizerConfig(size=500, cleaning="transformers")]
)
def test_text_without_spaces_is_trained_on_in_reasonable_time(part: BPETokenizerConfig | GPT1TokenizerConfig) -> None:
    """Without the limit on words, the time would grow with the square of the length, to an hour."""
    generator = random.Random(0)
    text = "".join(generator.choices("abcd", k=400_000))
    built = part.build(texts=[text])
    assert len(built.encode(text)) < 300_000


def test_error_while_reading_texts_is_raised() -> None:
    def texts() -> Iterator[str]:
        yield "some text"
        raise DataError("a.jsonl:3: bad")

    with pytest.raises(DataError, match=r"a\.jsonl:3: bad"):
        BPETokenizerConfig().build(texts=texts())


def test_interrupt_stops_training_at_once() -> None:
    """After Ctrl-C, the training thread reads no more text, and the main thread does not wait for it."""
    may_continue, texts_read = threading.Event(), []

    def texts() -> Iterator[str]:
        yield "some text"
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        may_continue.wait(20)
        for _ in range(1000):
            texts_read.append(1)
            yield "more text"

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            BPETokenizerConfig().build(texts=texts())
    finally:
        signal.signal(signal.SIGINT, before)
    assert not may_continue.is_set()
    may_continue.set()
    for thread in threading.enumerate():
        if thread.name == "learning a tokenizer":
            thread.join(20)
    assert len(texts_read) < 1000
