"""Pre-training text among the sequences of another data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from gptkit.errors import GptkitError
from gptkit.objective.built import Batch, Dataset
from gptkit.objective.windows import language_model_datasets
from gptkit.plugins import registry

if TYPE_CHECKING:
    from gptkit.tokenizer.built import BuiltTokenizer


def text_windows(
    source: Mapping[str, Any], tokenizer: BuiltTokenizer, context: int, *, key: str, validation_fraction: float
) -> tuple[dict[str, Dataset], str]:
    """The text of a source in windows, "train" and, where something is held out, "validation"; and the source's fingerprint.

    Args:
        source: its settings, with its `name`.
        key: that holds them, for errors.
        tokenizer: turns its text into ids.
        context: length of a window.
        validation_fraction: share to hold out, where the source brings no validation split.

    Raises:
        ConfigError: there is no such source.
        DataError: its text cannot be read, or is too short.
    """
    try:
        data = registry().resolve("data", dict(source)).build()
        return language_model_datasets(data, tokenizer, context=context, validation_fraction=validation_fraction), data.fingerprint
    except GptkitError as error:  # of a source, whose own key is `data`
        raise type(error)(f"{key}: {error}") from error


def mixed_in(source: Mapping[str, Any]) -> str:
    """What text is mixed in: a phrase of the line with which a run begins."""
    where = f" ({source['path']})" if "path" in source else ""
    return f"mixed with the text of {source['name']}{where}"


class WithPretraining(Dataset):
    """The items of a data set and, behind them, so many windows that these are the given share of an epoch.

    Every epoch goes on in the text where the one before stopped. All tokens of a window are learned.
    """

    def __init__(self, items: Dataset, windows: Dataset, share: float) -> None:
        self._items, self._windows = items, windows
        self._count = max(1, round(len(items) * share / (1.0 - share)))

    def __len__(self) -> int:
        return len(self._items) + self._count

    def batch(self, indices: Sequence[int]) -> Batch:
        first = len(self._items)
        epochs_and_places = [divmod(index, len(self)) for index in indices]
        of_window = [place >= first for _, place in epochs_and_places]
        found = []
        if not all(of_window):
            own = self._items.batch([place for _, place in epochs_and_places if place < first])
            found.append((own, [number for number, is_window in enumerate(of_window) if not is_window]))
        if any(of_window):
            text = self._windows.batch(
                [epoch * self._count + place - first for epoch, place in epochs_and_places if place >= first]
            )
            text["learned"] = torch.ones_like(text["tokens"], dtype=torch.bool)
            found.append((text, [number for number, is_window in enumerate(of_window) if is_window]))
        length = max(part["tokens"].shape[1] for part, _ in found)
        batch: Batch = {}
        for name in ("tokens", "targets", "learned", "segments"):
            if any(name in part for part, _ in found):
                dtype = torch.bool if name == "learned" else torch.int64
                batch[name] = torch.zeros(len(indices), length, dtype=dtype)
                for part, rows in found:
                    if name in part:
                        batch[name][rows, : part[name].shape[1]] = part[name]
        return batch
