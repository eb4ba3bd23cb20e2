"""The folder of an evaluation: protocol.json, items.jsonl, results.json and report.html. A stopped evaluation continues from it.

`items.jsonl` is written line by line in the order of computation, so a process that is killed loses the items of at most one batch.
No file holds a time or the size of a batch: the same evaluation writes the same results.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from gptkit.atomic_io import DISK_FULL_ERRORS, try_lock, wrap_os_errors, write_file
from gptkit.errors import ConfigError, DataError, GptkitError
from gptkit.evaluation.protocol import differing_values, short_value
from gptkit.evaluation.runner import ScoredItem
from gptkit.kit_files import MIB, DamagedFile, read_json
from gptkit.task.base import Item
from gptkit.task.requests import Answer, Generation, LogLikelihood, LogLikelihoodAnswer, Request
from gptkit.user_files import expand_path

PROTOCOL, ITEMS, RESULTS, TABLE = "protocol.json", "items.jsonl", "results.json", "table.json"
SYNC_SECONDS = 5.0
"""Seconds between two writes of items.jsonl to the disk."""


class EvaluationFolder:
    """Context manager that keeps the scored items of an evaluation in its folder."""

    def __init__(self, folder: str, protocol: Mapping[str, Any]) -> None:
        """
        Args:
            folder: new, empty, or the folder of the same evaluation.
            protocol: everything that determines the results, as plain JSON values.
        """
        self.path = Path(expand_path(folder))
        self.protocol = json.loads(json.dumps(protocol))
        self.scored: dict[str, ScoredItem] = {}
        self.annotations: Mapping[str, Mapping[str, Any]] = {}
        """Further values for the lines of items, by id."""
        self._file: IO[str] | None = None
        self._last_sync = time.monotonic()

    def __enter__(self) -> EvaluationFolder:
        """Open the folder, and read the items that have been scored.

        Raises:
            ConfigError: the folder belongs to another evaluation, holds other files, or is in use.
            DataError: items.jsonl is damaged.
            GptkitError: the folder cannot be written.
        """
        with wrap_os_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        self._check_protocol()
        path = self.path / ITEMS
        try:
            with wrap_os_errors(path):
                self._file = path.open("a", encoding="utf-8", newline="")
                if not try_lock(self._file.fileno()):
                    raise ConfigError(f"to={self.path}: another process is writing this evaluation; wait until it ends")
                _drop_torn_line(path)
            self._read_items(path)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _check_protocol(self) -> None:
        path = self.path / PROTOCOL
        if not path.is_file():
            others = sorted(each.name for each in self.path.iterdir() if each.name != f".{PROTOCOL}.writing")
            if others:
                raise ConfigError(f"to={self.path} holds {others[0]}, but no evaluation; choose a new or an empty folder")
            write_file(path, json.dumps(self.protocol, indent=2, ensure_ascii=False) + "\n")
            return
        try:
            written = read_json(path, limit=16 * MIB)
        except DamagedFile as error:
            raise ConfigError(f"{path} is damaged; choose another folder with to=") from error
        differences = list(protocol_differences(written, self.protocol))
        if differences:
            raise ConfigError(f"to={self.path} holds another evaluation: {'; '.join(differences[:3])}; choose another folder")

    def _read_items(self, path: Path) -> None:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    content = json.loads(line)
                    truncated = sum(answer["truncated"] > 0 for answer in content["answers"])
                    self.scored[content["item"]] = ScoredItem(content["scores"], truncated, tuple(content.get("option_scores", ())))
                except (ValueError, KeyError, TypeError) as error:
                    raise DataError(f"{path}:{number}: the line is damaged; remove it to compute the item again") from error

    def add(self, identifier: str, item: Item, answers: Sequence[Answer], scored: ScoredItem) -> None:
        """Add the line of an item to items.jsonl."""
        assert self._file is not None
        content = {
            "item": identifier,
            "requests": [_plain_request(request) for request in item.requests],
            "target": item.target,
            **({"examples": item.examples} if item.examples else {}),
            "answers": [_plain_answer(answer) for answer in answers],
            "scores": scored.scores,
            **({"option_scores": scored.option_scores} if scored.option_scores else {}),
            **({} if scored.draw is None else {"draw": scored.draw}),
            **self.annotations.get(identifier, {}),
        }
        with _wrap_disk_full(self.path / ITEMS):
            self._file.write(json.dumps(content, ensure_ascii=False) + "\n")

    def flush(self) -> None:
        """Hand the lines to the operating system, and sync them to the disk every few seconds."""
        assert self._file is not None
        with _wrap_disk_full(self.path / ITEMS):
            self._file.flush()
            if time.monotonic() - self._last_sync >= SYNC_SECONDS:
                os.fsync(self._file.fileno())
                self._last_sync = time.monotonic()

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Write results.json, which ends with the protocol, and the page report.html."""
        from gptkit.evaluation.page.report_page import write_page

        self.flush()
        write_file(self.path / RESULTS, json.dumps({**results, "protocol": self.protocol}, indent=2, ensure_ascii=False) + "\n")
        write_page(self.path)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError) if error is not None else contextlib.nullcontext():
                self._file.close()


def write_table(folder: Path, content: Mapping[str, Any]) -> None:
    """Write table.json, the metrics of all sub-folders.

    Raises:
        GptkitError: the folder cannot be written.
    """
    with _wrap_disk_full(folder / TABLE):
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / TABLE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@contextlib.contextmanager
def _wrap_disk_full(path: Path) -> Iterator[None]:
    """Convert errors of writing to a GptkitError that says how to continue."""
    with wrap_os_errors(path):
        try:
            yield
        except OSError as error:
            if error.errno not in DISK_FULL_ERRORS:
                raise
            raise GptkitError(f"{path}: the disk is full; free some space, then repeat the command to continue") from error


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line that was not written completely."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - MIB)
            file.seek(begin)
            newline = file.read(end - begin).rfind(b"\n")
            if newline >= 0:
                end = begin + newline + 1
                break
            end = begin
        file.truncate(end)


def protocol_differences(written: Any, current: Any) -> list[str]:
    """Describe the values that differ between two protocols, each in a few words."""
    return [
        f"{key} is {short_value(there)} there and {short_value(here)} here"
        for key, here, there in differing_values(current, written)
    ]


def _plain_request(request: Request) -> dict[str, Any]:
    name = "generate" if isinstance(request, Generation) else "loglikelihood" if isinstance(request, LogLikelihood) else "rolling"
    return {"type": name, **asdict(request)}


def _plain_answer(answer: Answer) -> dict[str, Any]:
    if not isinstance(answer, LogLikelihoodAnswer):
        return asdict(answer)
    return {"log_prob": answer.total, **{name: value for name, value in asdict(answer).items() if value is not None}}
