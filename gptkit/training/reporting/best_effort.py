"""What a run writes for people (samples, pages, bars) may fail without ending it: weights are worth more than a page about them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from gptkit.errors import GptkitError

_log = logging.getLogger("gptkit")


@contextlib.contextmanager
def best_effort(what: str) -> Iterator[None]:
    """Whatever goes wrong inside is said in one warning.

    Args:
        what: is attempted, as the subject of a sentence: "samples".
    """
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        reason = lines[0] if isinstance(error, GptkitError) else f"{type(error).__name__}: {lines[0]}".rstrip(": ")
        _log.warning("%s could not be written (%s); the run itself is unaffected", what, reason)
