"""The source `story_completion`: which of two sentences goes on a passage of a speech."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from gptkit.data.base import LabelledData
from gptkit.data.sources.sotu import Sotu
from gptkit.records import Example

SENTENCE_END = re.compile(r""" (?:(?<=[a-z0-9]{2}[.!?] )|(?<=[a-z0-9]{2}[.!?]["”'] ))(?=["“A-Z])""")
"""The space between a stop that follows two small letters or digits, which spares initials and Mr., and a capital letter."""

SENTENCES = 4
"""Sentences of a passage, before the two that are offered: as in ROCStories."""

SHORTEST, LONGEST = 20, 400
"""Characters of a sentence. Others (headings, numbers, tables) end a passage."""


class StoryCompletion(LabelledData):
    """Passages of the speeches in order, each with its next sentence and one from another speech of the same split."""

    splits = ("train", "validation", "test")

    def __init__(self) -> None:
        """Raises: DataError: the package that carries the speeches is not installed."""
        speeches = Sotu()
        # of every ten speeches along the years one is for testing and one for validation, so that all eras are in every split
        self._files: dict[str, list[Path]] = {split: [] for split in self.splits}
        for index, path in enumerate(speeches.files):
            self._files[{4: "test", 9: "validation"}.get(index % 10, "train")].append(path)
        self.fingerprint = hashlib.sha256(f"story_completion, a passage in one split {speeches.fingerprint}".encode()).hexdigest()

    def records(self, split: str) -> Iterator[Example]:
        """Two speeches are held in memory at a time, and the passages of earlier splits: those stand in no later one again."""
        files = self._files[split]
        earlier = self.splits[: self.splits.index(split)]
        seen = {context for each in earlier for path in self._files[each] for context, _ in passages(_read(path))}
        for path, other in zip(files, _pair_speeches(files), strict=True):
            wrong_endings = [ending for _, ending in passages(_read(other))]
            for index, (context, ending) in enumerate(passages(_read(path))):
                if context in seen:  # presidents repeat themselves
                    continue
                wrong = wrong_endings[index % len(wrong_endings)]
                label = hashlib.sha256(context.encode()).digest()[0] % 2
                yield Example(context, label, options=(ending, wrong) if label == 0 else (wrong, ending))


def passages(speech: str, *, sentences: int = SENTENCES) -> Iterator[tuple[str, str]]:
    """Stretches of a speech that follow one another: so many sentences, and the one after them."""
    run: list[str] = []
    for sentence in _sentences(speech):
        if not SHORTEST <= len(sentence) <= LONGEST:
            run.clear()
            continue
        run.append(sentence)
        if len(run) > sentences:
            yield " ".join(run[:-1]), run[-1]
            run.clear()


def _sentences(speech: str) -> Iterator[str]:
    for line in speech.splitlines():
        if line.strip():
            yield from SENTENCE_END.split(" ".join(line.split()))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _pair_speeches(files: list[Path]) -> list[Path]:
    """For each speech another, each taken once: the next in a circle whose order is that of the names' hashes."""
    circle = sorted(files, key=lambda path: hashlib.sha256(path.name.encode()).digest())
    after = dict(zip(circle, circle[1:] + circle[:1], strict=True))
    return [after[path] for path in files]
