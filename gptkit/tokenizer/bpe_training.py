"""Training of merges with the tokenizers library, with a limit on the length of words, and interruptible by Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from tokenizers import Tokenizer, pre_tokenizers, trainers

MAX_WORD_LENGTH = 1024
"""Maximum characters of a word in training. Longer words are split.

The training time of the library grows with the square of the length of a word: a megabyte without a space took minutes. Ordinary
text has no such words. The limit does not apply to encoding, which never splits a word.
"""

SIGNAL_WAIT = 0.2
"""Maximum delay in seconds until a signal is handled."""


def train_merges(library: Tokenizer, texts: Iterable[str], trainer: trainers.Trainer) -> None:
    """Train on texts, in a separate thread, because the library does not handle signals during training.

    Raises:
        BaseException: the error that reading the texts raised, or KeyboardInterrupt.
    """
    library.pre_tokenizer = pre_tokenizers.Sequence([library.pre_tokenizer, pre_tokenizers.FixedLength(MAX_WORD_LENGTH)])
    errors: list[BaseException] = []
    is_cancelled = threading.Event()

    def read() -> Iterator[str]:
        for text in texts:
            if is_cancelled.is_set():
                return
            yield text

    def train() -> None:
        try:
            library.train_from_iterator(read(), trainer=trainer)
        except BaseException as error:  # raised again by the waiting thread
            errors.append(error)

    worker = threading.Thread(target=train, name="learning a tokenizer", daemon=True)
    try:
        worker.start()  # a signal may arrive before it returns
        while worker.is_alive():
            worker.join(SIGNAL_WAIT)  # the timeout matters: a signal that arrives just before a wait does not end it
    except BaseException:
        is_cancelled.set()
        raise
    if errors:
        raise errors[0]
