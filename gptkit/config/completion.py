"""Completion for bash and zsh: gptkit completes verbs and options of groups, Hydra completes keys.

Hydra's completion knows no verbs, so the verb is removed from the line that the shell passes and becomes the name of the
primary configuration.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import io
import os
import re
import shlex
import sys
from collections.abc import Iterable

from gptkit.config.completion_script import INSTALL, UNINSTALL
from gptkit.config.key_types import key_choices
from gptkit.config_groups import groups
from gptkit.errors import ConfigError
from gptkit.hookspecs import NAMED_KINDS
from gptkit.plugins import registry

FLAGS = ("--cfg", "--config-dir", "--help", "--info", "--multirun", "--package", "--resolve", "--version")
"""The flags that completion offers. Hydra's other flags are rarely useful."""

_NAMED = tuple(f"+{kind}@{kind}." for kind in NAMED_KINDS)
"""What begins an override that adds a part under any name."""


def shell_completion(argv: list[str]) -> None:
    """Run `gptkit -sc install`, `-sc uninstall`, and `-sc query=<shell>`, with which the shell script requests the completions.

    Raises:
        ConfigError: the word after `-sc` or the shell is unknown.
    """
    word, _, shell = argv[-1].partition("=")
    if word not in ("install", "uninstall", "query") or shell not in ("", "bash", "zsh"):
        raise ConfigError(f'there is no -sc {argv[-1]}; write eval "$(gptkit -sc install)", in bash and in zsh')
    if word == "install":
        print(INSTALL)
    elif word == "uninstall":
        print(UNINSTALL)
    else:
        _print_completions(argv)


def _complete_value(verb: str, word: str) -> list[str] | None:
    """Return the completions of a group's option (`attention=ba`), or of a key's value; None for any other word.

    These do without Hydra, whose import takes most of the time of a completion.
    """
    key, equals, typed = word.partition("=")
    group = key.lstrip("+").partition("@")[0]
    known = (groups().get(group) or key_choices(verb, key.lstrip("+"))) if equals else None
    before, comma, last = typed.rpartition(",")  # in a sweep, complete the last value
    return None if not known else [f"{key}={before}{comma}{option}" for option in known if option.startswith(last)]


def _complete_plain_word(verb: str, word: str) -> list[str] | None:
    """Return the folders and keys that begin with a word, for a verb that takes plain words; None for any other word or verb."""
    command = registry().parts["command"][verb].part
    if not command.bare_words or "=" in word or word.startswith(("-", "+", "~")):
        return None
    folders = sorted(
        f"{path}/" for path in glob.glob(glob.escape(word) + "*") if os.path.isdir(path) and not re.search(r"\s", path)
    )
    keys = [f"{field.name}=" for field in dataclasses.fields(command) if field.name.startswith(word)]
    return folders + keys


def _split_line(line: str) -> list[str] | None:
    """Split a line as a shell does. The last word is the one being typed. Returns None inside a quote or escape."""
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    return [*words, ""] if not words or line[-1].isspace() else words


def _is_readable_override(word: str) -> bool:
    """Whether Hydra can parse an earlier word. Words that it cannot parse are text values, which do not affect completion."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if re.search(r"\s", word):  # Hydra's completion splits the line at whitespace
        return False
    if "=" not in word:
        return True
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True


def _print_completions(argv: list[str]) -> None:
    line = os.environ.get("COMP_LINE", "")
    point = int(os.environ.get("COMP_POINT", len(line)))
    program, _, typed = line[:point].partition(" ")
    verb, space, rest = typed.lstrip().partition(" ")
    if not space:
        print("\n".join(name for name in registry().parts["command"] if name.startswith(verb)))
        return
    if verb not in registry().parts["command"]:
        return
    words = _split_line(rest)
    word = rest.rpartition(" ")[2]
    if words is None or words[-1] != word:  # the cursor is inside a quoted word
        return
    options = [flag for flag in FLAGS if flag.startswith(word)] if word.startswith("-") else _complete_value(verb, word)
    if options is None:
        options = _complete_plain_word(verb, word)
    if options is not None:
        _print_choices(word, options)
        return
    os.environ["COMP_LINE"] = " ".join([program, *filter(_is_readable_override, words[:-1]), word])
    os.environ["COMP_POINT"] = str(len(os.environ["COMP_LINE"]))
    argv = ["--config-name", verb, *argv]

    import hydra

    from gptkit.config.config_store import register_configs
    from gptkit.config.hydra_run import run_job

    register_configs()
    sys.argv = [sys.argv[0], *argv]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        hydra.main(config_path="pkg://gptkit.conf", config_name="train", version_base="1.3")(run_job)()
    _print_choices(word, _filter_choices(verb, word, printed.getvalue().split()))


def _filter_choices(verb: str, word: str, choices: Iterable[str]) -> list[str]:
    """Return the choices that the verb accepts: its keys and, after `+`, papers. Removes schemas, bases, and the key `name`."""
    known = groups()
    keys = {field.name for field in dataclasses.fields(registry().parts["command"][verb].part)} | {"hydra"}
    accepted = []
    for choice in choices:
        stripped = choice.lstrip("+~")
        top = stripped.replace("=", ".").replace("/", ".").partition(".")[0]
        if stripped.endswith(".name="):
            continue
        is_appended = choice.startswith("+")
        if (top in known and top not in keys) if is_appended else (top in keys):
            accepted.append("hydra/" if choice == "hydra" else choice)
    named = (start for start, kind in zip(_NAMED, NAMED_KINDS, strict=True) if kind in keys)
    return [*accepted, *(start for start in named if word and start.startswith(word))]


def _print_choices(word: str, choices: list[str]) -> None:
    """Print the choices. Omits a typed word that ends in `=`, so that the shell completes file names."""
    for choice in choices:
        if choice != word or not word.endswith("="):
            print(choice)
