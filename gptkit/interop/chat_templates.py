"""The chat template of an exported folder: the one with which the model was trained, or none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptkit.user_files import open_user_file, read_json_file

if TYPE_CHECKING:
    from gptkit.chat_template.base import ChatTemplate

FILE, TOKENIZER_SETTINGS, GENERATION_SETTINGS = "chat_template.jinja", "tokenizer_config.json", "generation_config.json"


def write_chat_template(folder: Path, template: ChatTemplate | None) -> None:
    """Write the template into a folder in Hugging Face format, where it replaces any other.

    If an answer ends with another token than end-of-text, generation ends at both.

    Args:
        folder: the folder, with a tokenizer.
        template: the template with which the model was trained; None: it was trained without one.
    """
    settings = folder / TOKENIZER_SETTINGS
    if not settings.exists():
        return
    content: dict[str, Any] = read_json_file(settings)
    if content.pop("chat_template", None) is not None:
        _write_json(settings, content)
    if template is None:
        (folder / FILE).unlink(missing_ok=True)
        return
    (folder / FILE).write_text(template.jinja, encoding="utf-8")
    ends = [template.tokenizer.special["end_of_text"], template.end]
    if ends[0] != ends[1]:
        path = folder / GENERATION_SETTINGS
        _write_json(path, {**(read_json_file(path) if path.exists() else {}), "eos_token_id": ends})


def read_chat_template(folder: Path) -> str:
    """Return the chat template of a folder in Hugging Face format; empty if it has none."""
    file, settings = folder / FILE, folder / TOKENIZER_SETTINGS
    if file.exists():
        with open_user_file(file) as opened:
            return opened.read().decode("utf-8", errors="replace")
    template = read_json_file(settings).get("chat_template") if settings.exists() else None
    return template if isinstance(template, str) else ""


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
