"""The source `mixture`: several sources as one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

from gptkit.data.base import Chunk, Data
from gptkit.records import Record


class Mixture(Data):
    """The sources' records one source after another, each record once, in the order in which the sources are written.

    A split other than "train" is there where every source has it. What is held out for validation is decided for every source by
    itself (`components`): its own validation split, else its share of its training records.
    """

    def __init__(self, sources: Mapping[str, Data]) -> None:
        self.sources = dict(sources)
        built = list(self.sources.values())
        self.splits = tuple(split for split in ("train", "validation", "test") if all(split in each.splits for each in built))
        # how a mixture is split is a part of it: runs of the time when it was split as one text would train on what they held out
        content = ["mixture", "held out by source", [each.fingerprint for each in built]]
        self.fingerprint = hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def components(self) -> Mapping[str, Data]:
        """Those of the sources, mixtures among them taken apart."""
        return {
            f"data.sources.{word}" + (f": {key}" if key else ""): component
            for word, source in self.sources.items()
            for key, component in source.components().items()
        }

    def records(self, split: str) -> Iterator[Record]:
        for source in self.sources.values():
            yield from source.records(split)

    def chunks(self, split: str) -> Iterator[Chunk]:
        for index, source in enumerate(self.sources.values()):
            for chunk in source.chunks(split):
                read = None if chunk.progress is None else (index + chunk.progress) / len(self.sources)
                yield Chunk(chunk.text, chunk.is_last, read)
