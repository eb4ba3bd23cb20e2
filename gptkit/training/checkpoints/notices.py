"""Warnings that a command gives once, however often it comes upon what they are about."""

from __future__ import annotations

import logging

_log = logging.getLogger("gptkit")
_given: set[str] = set()


def warn_once(line: str) -> None:
    """Log a warning, unless this command has given the same."""
    if line not in _given:
        _given.add(line)
        _log.warning("warning: %s", line)


def forget() -> None:
    """Another command begins."""
    _given.clear()
