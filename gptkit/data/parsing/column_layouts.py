"""Column layouts: the sets of columns in which dialogues, rankings and prompts are published."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gptkit.errors import ConfigError, DataError, did_you_mean

Names = tuple[str, ...]
"""The names of a column in different datasets. The first one is its key in `data.columns`."""


@dataclass(frozen=True)
class ColumnLayout:
    """The columns of which a record consists."""

    required: tuple[Names, ...]
    optional: tuple[Names, ...] = ()
    """Columns that are read if they exist."""

    def match(self, names: Collection[str], columns: Mapping[str, str]) -> dict[str, str] | None:
        """Return the column of the table for each name of the layout, or None if the table has another layout."""
        groups = self.required + self.optional
        if not all(any(name in group for group in groups) for name in columns):
            return None
        result = {}
        for group in groups:
            mapped = [columns[name] for name in group if name in columns]
            candidates = mapped or [name for name in group if name in names]
            if candidates:
                result[group[0]] = candidates[0]
        return result if all(group[0] in result for group in self.required) else None

    def __str__(self) -> str:
        return " + ".join("|".join(group) for group in self.required)


def check_column_keys(layouts: Sequence[ColumnLayout], columns: Mapping[str, str]) -> None:
    """Check the keys of `data.columns`.

    Raises:
        ConfigError: a key is not a column of any layout.
    """
    known = [name for layout in layouts for group in layout.required + layout.optional for name in group]
    for name in columns:
        if name not in known:
            raise ConfigError(
                f"data.columns has no key {name}; it can be {', '.join(dict.fromkeys(known))}.{did_you_mean(name, known)}"
            )


def match_columns(layouts: Sequence[ColumnLayout], names: Collection[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Return the column of the table for each name of the first layout that matches.

    Args:
        layouts: the supported layouts, in order.
        names: the columns of the table.
        columns: the mapping `data.columns` of the user. A layout that lacks one of its keys does not match.

    Raises:
        DataError: a column in `data.columns` does not exist, or no layout matches.
    """
    for name, column in columns.items():
        if column not in names:
            choices = ", ".join(map(str, names)) or "(none)"
            raise DataError(
                f"there is no column {column}; data.columns.{name} can be one of: {choices}.{did_you_mean(column, map(str, names))}"
            )
    for layout in layouts:
        result = layout.match(names, columns)
        if result is not None:
            return result
    supported = "; or ".join(map(str, layouts))
    raise DataError(
        f"the columns {', '.join(map(str, names)) or '(none)'} match no known layout; expected {supported}; "
        f"map your columns with data.columns={{{layouts[0].required[0][0]}:...}}"
    )
