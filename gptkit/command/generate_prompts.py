"""The prompts of the command `generate`: from the command line, a file or standard input, as texts or as messages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptkit.data.parsing.column_layouts import match_columns
from gptkit.data.parsing.messages import with_system
from gptkit.data.parsing.prompts import LAYOUTS, parse_prompt
from gptkit.data.readers.jsonl import json_object, replace_surrogates
from gptkit.errors import ConfigError, DataError
from gptkit.records import Turn
from gptkit.user_files import expand_path, open_user_file

if TYPE_CHECKING:
    from gptkit.command import GenerateCommand


def read_conversations(settings: GenerateCommand) -> list[tuple[Turn, ...]]:
    """Return the messages before the answers of `chat=true`, with the system message of the settings unless they have one.

    Raises: as `read_prompts`.
    """
    conversations: list[tuple[Turn, ...]]
    if settings.prompts is None or Path(settings.prompts).suffix != ".jsonl":
        conversations = [(Turn("user", text),) for text in read_prompts(settings)]
    else:
        path, lines = _read_lines(settings)
        conversations = [_parse_conversation(path, number, line) for number, line in lines]
    return [with_system(turns, settings.system) for turns in conversations]


def _parse_conversation(path: Path, number: int, line: str) -> tuple[Turn, ...]:
    where = f"{path}:{number}"
    row: dict[str, Any] = json_object(where, line)
    try:
        turns = parse_prompt(row, match_columns(LAYOUTS, list(row), {})).turns
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    return tuple(Turn(turn.role, replace_surrogates(where, turn.text, field="prompt", errors="strict")) for turn in turns)


def read_prompts(settings: GenerateCommand) -> list[str]:
    """Return the texts to continue.

    Raises:
        ConfigError: two sources are set, or a file cannot be read.
        DataError: a line of the file of prompts cannot be used.
    """
    if settings.prompts is None:
        return [_resolve_prompt(settings.prompt)]
    path, lines = _read_lines(settings)
    return [_parse_prompt_line(path, number, line) if path.suffix == ".jsonl" else line for number, line in lines]


def _read_lines(settings: GenerateCommand) -> tuple[Path, list[tuple[int, str]]]:
    """Return the file of prompts and its lines with their numbers."""
    assert settings.prompts is not None
    if settings.prompt:
        raise ConfigError("prompt and prompts are both set; remove one of them")
    path = expand_path(settings.prompts)
    lines = _read_text(path, f"prompts={settings.prompts}").split("\n")
    numbered = [(number, line.removesuffix("\r")) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        raise DataError(f"{path}: there is no prompt in this file")
    return path, numbered


def _parse_prompt_line(path: Path, number: int, line: str) -> str:
    where = f"{path}:{number}"
    prompt = json_object(where, line).get("prompt")
    if not isinstance(prompt, str):
        raise DataError(f"{where}: there is no text in the field prompt")
    return replace_surrogates(where, prompt, field="prompt", errors="strict")


def _resolve_prompt(text: str) -> str:
    if text == "-":
        return _decode(sys.stdin.buffer.read(), "standard input")
    if text.startswith("@"):
        return _read_text(expand_path(text[1:]), f"prompt={text}")
    return text


def _read_text(path: Path, setting: str) -> str:
    try:
        with open_user_file(path) as file:
            content = file.read()
    except DataError as error:
        hint = "; pass a text that begins with @ through prompt=- or prompts=<file>" if setting.startswith("prompt=@") else ""
        raise ConfigError(f"{setting}: {error}{hint}") from None
    return _decode(content, str(path))


def _decode(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 text at byte {error.start}") from None
