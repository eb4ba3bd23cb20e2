"""Packing of sequences of different lengths into rows of a fixed length."""

from __future__ import annotations

import bisect
from collections.abc import Sequence


def pack_best_fit(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Assign sequences to rows: longest first, each to the row where it leaves the least room, or to a new row if it fits in none.

    Best-fit decreasing (Johnson and others, "Worst-Case Performance Bounds for Simple One-Dimensional Packing Algorithms", 1974)
    needs at most 11/9 times the minimum number of rows, plus 1. The same lengths always give the same rows.

    Args:
        lengths: length of each sequence, from 1 to `room`.
        room: length of a row.

    Returns:
        For each row, the indices of its sequences.

    Raises:
        ValueError: a length is not between 1 and `room`.
    """
    rows: list[list[int]] = []
    rows_by_room: dict[int, list[int]] = {}  # rows by the room that is left in them
    rooms: list[int] = []  # its keys in ascending order
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        length = lengths[index]
        if not 0 < length <= room:
            raise ValueError(f"sequence {index} has length {length}, which is not between 1 and {room}")
        best = bisect.bisect_left(rooms, length)
        if best == len(rooms):
            row, left = len(rows), room
            rows.append([])
        else:
            left = rooms[best]
            row = rows_by_room[left].pop()
            if not rows_by_room[left]:
                del rows_by_room[left], rooms[best]
        rows[row].append(index)
        left -= length
        if left not in rows_by_room:
            rows_by_room[left] = []
            bisect.insort(rooms, left)
        rows_by_room[left].append(row)
    return rows
