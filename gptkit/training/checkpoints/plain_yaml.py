"""YAML as a run writes it: plain values, every key once, nothing said by reference to something else."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from gptkit.kit_files import MIB, DamagedFile, read_text

LARGEST = 2 * MIB
"""Bytes of the largest config.yaml that is read: some ten thousand paths."""


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        FileNotFoundError: there is no file.
        DamagedFile: it cannot be read, or is not such YAML.
    """
    try:
        content = yaml.load(read_text(path, limit=LARGEST), Loader=_PlainLoader)
    except yaml.YAMLError as error:
        raise DamagedFile(_reason(error)) from error
    except RecursionError as error:
        raise DamagedFile("is nested too deeply") from error
    except ValueError as error:  # a number or a date that is none
        raise DamagedFile(f"is not the YAML that the run wrote ({str(error).partition(chr(10))[0]})") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise DamagedFile("is not the settings of a run")
    return content


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses aliases, of which a few lines can stand for gigabytes, and keys that are given twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "holds an alias (*), which no run writes", self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"gives the key {name[:80]} twice", key.start_mark)
            seen.add(name)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def _reason(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return f"is not the YAML that the run wrote ({str(problem)[:120]}{f', line {mark.line + 1}' if mark is not None else ''})"
