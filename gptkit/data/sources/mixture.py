"""The source `mixture`: several sources in sequence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

from gptkit.data.base import Chunk, Data
from gptkit.records import Record


class Mixture(Data):
    """The records of all sources, one source after another in the order of the config, each record once.

    A mixture has a validation or test split only if every source has it. For validation, each source is split separately
    (`components`): its own validation split if it has one, otherwise a share of its training records.
    """

    def __init__(self, sources: Mapping[str, Data], weights: Mapping[str, float] | None = None) -> None:
        """
        Args:
            sources: the sources by key, in order.
            weights: how many times the training records of a source occur, by its key.
        """
        self.sources = dict(sources)
        self._weights = dict(weights or {})
        sources_in_order = list(self.sources.values())
        self.splits = tuple(
            split for split in ("train", "validation", "test") if all(split in each.splits for each in sources_in_order)
        )
        # the fingerprint names the way of splitting: runs that split a mixture as one text would now train on tokens that they
        # held out
        content: list[object] = ["mixture", "held out by source", [each.fingerprint for each in sources_in_order]]
        if self._weights:
            content.append([self._weights.get(name, 1.0) for name in self.sources])
        self.fingerprint = hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def components(self) -> Mapping[str, Data]:
        """Return the components of all sources, which expands nested mixtures."""
        return {
            f"data.sources.{name}" + (f": {key}" if key else ""): component
            for name, source in self.sources.items()
            for key, component in source.components().items()
        }

    def weights(self) -> Mapping[str, float]:
        """Return the weights of all components. The weight of a nested mixture multiplies those of its sources."""
        if not self._weights and not any(source.weights() for source in self.sources.values()):
            return {}
        return {
            f"data.sources.{name}" + (f": {key}" if key else ""): self._weights.get(name, 1.0) * source.weights().get(key, 1.0)
            for name, source in self.sources.items()
            for key in source.components()
        }

    def records(self, split: str) -> Iterator[Record]:
        for source in self.sources.values():
            yield from source.records(split)

    def chunks(self, split: str) -> Iterator[Chunk]:
        for index, source in enumerate(self.sources.values()):
            for chunk in source.chunks(split):
                progress = None if chunk.progress is None else (index + chunk.progress) / len(self.sources)
                yield Chunk(chunk.text, chunk.is_last, progress)
