"""Sequences of different lengths put together into rows of a fixed length."""

from __future__ import annotations

import bisect
from collections.abc import Sequence


def pack_best_fit(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Which sequences share a row: the longest first, each into the row where it leaves the least room, else into a new one.

    Best-fit decreasing (Johnson and others, "Worst-Case Performance Bounds for Simple One-Dimensional Packing Algorithms", 1974):
    at most 11/9 of the fewest rows that are possible, and 1. The same lengths always give the same rows.

    Args:
        lengths: of each sequence, from 1 to `room`.
        room: longest row.

    Returns:
        The places of each row's sequences.
    """
    rows: list[list[int]] = []
    with_room: dict[int, list[int]] = {}  # rows by how much they can still take
    rooms: list[int] = []  # its keys, rising
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        length = lengths[index]
        if not 0 < length <= room:
            raise ValueError(f"sequence {index} has length {length}, which is not between 1 and {room}")
        result = bisect.bisect_left(rooms, length)
        if result == len(rooms):
            row, left = len(rows), room
            rows.append([])
        else:
            left = rooms[result]
            row = with_room[left].pop()
            if not with_room[left]:
                del with_room[left], rooms[result]
        rows[row].append(index)
        left -= length
        if left not in with_room:
            with_room[left] = []
            bisect.insort(rooms, left)
        with_room[left].append(row)
    return rows
