"""Which columns of a table hold what: the shapes in which dialogues, rankings and prompts are published."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gptkit.errors import ConfigError, DataError, did_you_mean

Names = tuple[str, ...]
"""The names that a column has in different data sets. By the first of them the kit calls it."""


@dataclass(frozen=True)
class ColumnLayout:
    """The columns that together make a record."""

    needs: tuple[Names, ...]
    may: tuple[Names, ...] = ()
    """Columns that are read where they are there."""

    def find(self, names: Collection[str], columns: Mapping[str, str]) -> dict[str, str] | None:
        """Which column each of the shape's names stands for; None where the row has another shape."""
        groups = self.needs + self.may
        if not all(any(name in group for group in groups) for name in columns):
            return None
        result = {}
        for group in groups:
            given = [columns[name] for name in group if name in columns]
            there = given or [name for name in group if name in names]
            if there:
                result[group[0]] = there[0]
        return result if all(group[0] in result for group in self.needs) else None

    def __str__(self) -> str:
        return " + ".join("|".join(group) for group in self.needs)


def check_column_keys(shapes: Sequence[ColumnLayout], columns: Mapping[str, str]) -> None:
    """Raises: ConfigError: `data.columns` speaks of something that no shape has."""
    known = [name for shape in shapes for group in shape.needs + shape.may for name in group]
    for name in columns:
        if name not in known:
            raise ConfigError(
                f"data.columns has no key {name}; it can be {', '.join(dict.fromkeys(known))}.{did_you_mean(name, known)}"
            )


def match_columns(shapes: Sequence[ColumnLayout], names: Collection[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Which column each name of the first shape that fits stands for.

    Args:
        shapes: those that can be read, the first that fits is taken.
        names: the columns that are there.
        columns: `data.columns`: what the user says of them. A shape without one of these names does not fit.

    Raises:
        DataError: a column that the user named is not there, or no shape fits: says what is there and what is wanted.
    """
    for name, column in columns.items():
        if column not in names:
            choices = ", ".join(map(str, names)) or "nothing"
            raise DataError(
                f"there is no column {column}; data.columns.{name} can be one of: {choices}.{did_you_mean(column, map(str, names))}"
            )
    for shape in shapes:
        result = shape.find(names, columns)
        if result is not None:
            return result
    wanted = "; or ".join(map(str, shapes))
    raise DataError(
        f"the columns are {', '.join(map(str, names)) or 'none'}, and wanted are {wanted}; "
        f"data.columns={{{shapes[0].needs[0][0]}:...}} says which of yours is which"
    )
