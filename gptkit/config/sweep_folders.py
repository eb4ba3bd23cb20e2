"""The folders of the jobs of a sweep whose command writes to `to=`: each job gets one below it, named by the values that differ."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.errors import HydraException

from gptkit.config_groups import groups
from gptkit.plugins import registry

JOB_NUMBER = "${hydra:job.num}"


def separate_folders(verb: str, words: Sequence[str]) -> list[str]:
    """Append the values that differ between jobs to a `to=` that is the same for all jobs of a sweep.

    `to=evals fewshot.k=0,1` becomes `to=evals/${fewshot.k} fewshot.k=0,1`. If a value cannot be the name of a folder, the folder is
    the number of the job.

    Args:
        verb: the name of the command.
        words: the overrides in Hydra's grammar.
    """
    command = registry().parts["command"][verb].part
    if command.writes_folder or "to" not in {field.name for field in dataclasses.fields(command)}:
        return list(words)
    parsed = [_parse(word) for word in words]
    swept = [each for each in parsed if each is not None and each.is_sweep_override()]
    names = [_folder_name(each) for each in swept]
    suffix = "/".join(name or "" for name in names) if all(names) else JOB_NUMBER
    result = list(words)
    for place, each in enumerate(parsed):
        if each is None or each.key_or_group != "to" or each in swept or not swept:
            continue
        value = each._value.text if isinstance(each._value, QuotedString) else each._value
        if isinstance(value, str) and "${" not in value:
            folder = QuotedString(text=f"{value.rstrip('/')}/{suffix}", quote=Quote.single).with_quotes()
            result[place] = f"to={folder}"
    return result


def _folder_name(override: Override) -> str | None:
    """Return an interpolation that names the value of a job; None if a value cannot be the name of a folder."""
    key, sweep = override.key_or_group, override.value()
    if not isinstance(sweep, ChoiceSweep) or key in groups() or override.input_line is None or override.input_line[:1] in "+~":
        return None
    texts = [value.text if isinstance(value, QuotedString) else str(value) for value in sweep.list]
    return f"${{{key}}}" if all(re.fullmatch(r"[\w.-]+(/[\w.-]+)*", text) and ".." not in text for text in texts) else None


def _parse(word: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(word)
    except (HydraException, ValueError):
        return None  # reported where the override is parsed
