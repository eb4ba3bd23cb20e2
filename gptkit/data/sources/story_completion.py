"""The source `story_completion`: which of two sentences continues a passage of a speech."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from gptkit.data.base import LabelledData
from gptkit.data.sources.sotu import Sotu
from gptkit.records import Example

SENTENCE_END = re.compile(r""" (?:(?<=[a-z0-9]{2}[.!?] )|(?<=[a-z0-9]{2}[.!?]["”'] ))(?=["“A-Z])""")
"""The space between two sentences: after a full stop that follows two lower-case letters or digits, and before a capital letter.
Initials and abbreviations such as Mr. do not match."""

SENTENCES = 4
"""Sentences in a passage, without the two endings, as in ROCStories."""

MIN_LENGTH, MAX_LENGTH = 20, 400
"""Characters of a sentence. Shorter and longer ones (headings, numbers, tables) end a passage."""


class StoryCompletion(LabelledData):
    """Passages of the speeches in order, each with its next sentence and a sentence from another speech of the same split."""

    splits = ("train", "validation", "test")

    def __init__(self) -> None:
        """Find the speeches and assign them to splits.

        Raises:
            DataError: the package that contains the speeches is not installed.
        """
        speeches = Sotu()
        # of every ten consecutive speeches, one is for testing and one for validation, so that every split covers all periods
        self._files: dict[str, list[Path]] = {split: [] for split in self.splits}
        for index, path in enumerate(speeches.files):
            self._files[{4: "test", 9: "validation"}.get(index % 10, "train")].append(path)
        self.fingerprint = hashlib.sha256(f"story_completion, a passage in one split {speeches.fingerprint}".encode()).hexdigest()

    def records(self, split: str) -> Iterator[Example]:
        """Yield the examples of a split, without passages that occur in an earlier split.

        Only two speeches and the passages of the earlier splits are in memory at a time.
        """
        files = self._files[split]
        earlier = self.splits[: self.splits.index(split)]
        earlier_contexts = {context for each in earlier for path in self._files[each] for context, _ in passages(_read(path))}
        for path, other in zip(files, _pair_speeches(files), strict=True):
            wrong_endings = [ending for _, ending in passages(_read(other))]
            for index, (context, ending) in enumerate(passages(_read(path))):
                if context in earlier_contexts:  # presidents repeat themselves
                    continue
                wrong = wrong_endings[index % len(wrong_endings)]
                label = hashlib.sha256(context.encode()).digest()[0] % 2
                yield Example(context, label, options=(ending, wrong) if label == 0 else (wrong, ending))


def passages(speech: str, *, sentences: int = SENTENCES) -> Iterator[tuple[str, str]]:
    """Yield adjacent passages of a speech: `sentences` sentences, and the sentence that follows them."""
    passage: list[str] = []
    for sentence in _sentences(speech):
        if not MIN_LENGTH <= len(sentence) <= MAX_LENGTH:
            passage.clear()
            continue
        passage.append(sentence)
        if len(passage) > sentences:
            yield " ".join(passage[:-1]), passage[-1]
            passage.clear()


def _sentences(speech: str) -> Iterator[str]:
    for line in speech.splitlines():
        if line.strip():
            yield from SENTENCE_END.split(" ".join(line.split()))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _pair_speeches(files: list[Path]) -> list[Path]:
    """Return another speech for each speech, using each one once: the next one in a cycle ordered by the hash of the name."""
    cycle = sorted(files, key=lambda path: hashlib.sha256(path.name.encode()).digest())
    successor = dict(zip(cycle, cycle[1:] + cycle[:1], strict=True))
    return [successor[path] for path in files]
