"""How the tokenizers library learns merges: from words of bounded length, and so that the process still hears Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from tokenizers import Tokenizer, pre_tokenizers, trainers

LONGEST_WORD = 1024
"""Characters of a word that is learnt from; a longer run without a border is learnt from in pieces.

The library's work grows with the square of a word's length: a megabyte without a space took minutes. No text that people write has
such words, and what a tokenizer encodes is never cut so: its ids are those of the whole word.
"""

SIGNAL_WAIT = 0.2
"""Seconds after which a signal is heard at the latest."""


def train_merges(library: Tokenizer, texts: Iterable[str], trainer: trainers.Trainer) -> None:
    """Learn from texts. The library works in a thread of its own, because it hears no signal while it does.

    Raises:
        BaseException: what reading the texts raised; KeyboardInterrupt at once.
    """
    library.pre_tokenizer = pre_tokenizers.Sequence([library.pre_tokenizer, pre_tokenizers.FixedLength(LONGEST_WORD)])
    failed: list[BaseException] = []
    given_up = threading.Event()

    def read() -> Iterator[str]:
        for text in texts:
            if given_up.is_set():
                return
            yield text

    def work() -> None:
        try:
            library.train_from_iterator(read(), trainer=trainer)
        except BaseException as error:  # raised again where it is waited for
            failed.append(error)

    worker = threading.Thread(target=work, name="learning a tokenizer", daemon=True)
    try:
        worker.start()  # a signal may come before it returns
        while worker.is_alive():
            worker.join(SIGNAL_WAIT)  # a signal that comes just before a wait does not end it
    except BaseException:
        given_up.set()
        raise
    if failed:
        raise failed[0]
