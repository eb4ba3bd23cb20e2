"""Completion for bash and zsh: verbs and the options of groups by ourselves, keys by Hydra.

Hydra's completion knows no verbs, so the verb is taken out of the line that the shell hands over and named as the primary
configuration.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys

from gptkit.config.completion_script import INSTALL, UNINSTALL
from gptkit.config.completion_words import FLAGS, usable
from gptkit.config.groups import groups
from gptkit.errors import ConfigError
from gptkit.plugins import registry


def shell_completion(argv: list[str]) -> None:
    """Answer `gptkit -sc install`, `uninstall` and the shell's own `query=bash`, which gives one complete word a line.

    Raises:
        ConfigError: another word, or another shell.
    """
    word, _, shell = argv[-1].partition("=")
    if word not in ("install", "uninstall", "query") or shell not in ("", "bash", "zsh"):
        raise ConfigError(f'there is no -sc {argv[-1]}; write eval "$(gptkit -sc install)", in bash and in zsh')
    if word == "install":
        print(INSTALL)
    elif word == "uninstall":
        print(UNINSTALL)
    else:
        _query(argv)


def _options(word: str) -> list[str] | None:
    """What completes the option of a group (`attention=ba`) without Hydra's second; None where the word is no such thing."""
    key, equals, typed = word.partition("=")
    group = key.lstrip("+").partition("@")[0]
    known = groups().get(group) if equals else None
    before, comma, last = typed.rpartition(",")  # of a sweep, the last of its values
    return None if known is None else [f"{key}={before}{comma}{option}" for option in known if option.startswith(last)]


def _query(argv: list[str]) -> None:
    line = os.environ.get("COMP_LINE", "")
    point = int(os.environ.get("COMP_POINT", len(line)))
    program, _, typed = line[:point].partition(" ")
    verb, space, rest = typed.lstrip().partition(" ")
    if not space:
        print("\n".join(name for name in registry().parts["command"] if name.startswith(verb)))
        return
    if verb not in registry().parts["command"]:
        return
    word = rest.rpartition(" ")[2]
    options = [flag for flag in FLAGS if flag.startswith(word)] if word.startswith("-") else _options(word)
    if options is not None:
        print("\n".join(options))
        return
    os.environ["COMP_LINE"] = f"{program} {rest}"
    os.environ["COMP_POINT"] = str(len(os.environ["COMP_LINE"]))
    argv = ["--config-name", verb, *argv]

    import hydra

    from gptkit.config.hydra_run import execute
    from gptkit.config.store import register

    register()
    sys.argv = [sys.argv[0], *argv]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        hydra.main(config_path="pkg://gptkit.conf", config_name="train", version_base="1.3")(execute)()
    print("\n".join(usable(verb, word, printed.getvalue().split())))
