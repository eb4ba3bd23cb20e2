"""Which records a run holds out: the one place where a source's own validation split and a share of its training split meet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from gptkit.data.base import Data
from gptkit.data.splits import split_items
from gptkit.errors import GptkitError

T = TypeVar("T")


def hold_out(data: Data, fraction: float, read: Callable[[Data, str], Iterable[T]]) -> tuple[list[T], list[T]]:
    """The records for training and those held out. The sources of a mixture are split one by one.

    Args:
        data: the source.
        fraction: share of a source's training records to hold out where it has no validation split, at least 0 and below 1.
        read: the records of a split of one source.

    Raises:
        GptkitError: what `read` raises; of a mixture with the source's key before it.
    """
    train: list[T] = []
    held_out: list[T] = []
    for key, source in data.components().items():
        try:
            found = list(read(source, "train"))
            if "validation" in source.splits:
                train += found
                held_out += read(source, "validation")
                continue
        except GptkitError as error:
            raise in_component(key, error) from error
        kept, ranges = split_items(len(found), fraction)
        train += [record for begin, end in kept for record in found[begin:end]]
        held_out += [record for begin, end in ranges for record in found[begin:end]]
    return train, held_out


def in_component(key: str, error: GptkitError) -> GptkitError:
    """The same error, with the key of the source of a mixture that it is about."""
    return type(error)(f"{key}: {error}") if key else error
