"""The answer within a generated text, by a regular expression."""

from __future__ import annotations

from gptkit.errors import ConfigError, DataError

MAX_SECONDS = 5.0
"""Maximum time for one text. Some expressions take time that is exponential in the length of the text."""


class Extractor:
    """Finds the first match of a regular expression."""

    def __init__(self, pattern: str) -> None:
        """Raises: ConfigError: the package regex is not installed, or it does not accept the expression."""
        try:
            import regex  # its matching can be limited in time, unlike that of `re`
        except ImportError:
            raise ConfigError("task.extract needs regex: pip install gptkit[evaluation]") from None
        try:
            self._pattern = regex.compile(pattern)
        except (regex.error, RecursionError, OverflowError) as error:
            raise ConfigError(f"task.extract is not a regular expression: {error}") from None

    def find(self, text: str, *, where: str) -> str | None:
        """Return the first group of the first match, or all of the match if there is no group; None if nothing matches.

        Args:
            text: the generated text.
            where: the location of the item, for errors.

        Raises:
            DataError: the expression takes too long.
        """
        try:
            match = self._pattern.search(text, timeout=MAX_SECONDS)
        except TimeoutError:
            raise DataError(
                f"{where}: task.extract={self._pattern.pattern} takes longer than {MAX_SECONDS:.0f} seconds on a text of "
                f"{len(text):,} characters; avoid repetitions within repetitions"
            ) from None
        if match is None:
            return None
        return str(match[1] or "") if self._pattern.groups else str(match[0])
