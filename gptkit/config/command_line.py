"""Parse a command line into verb, flags and overrides, and convert it to arguments for Hydra.

`gptkit train a=1 -m` becomes `--config-name train -m a=1`: the verb is the name of the primary configuration.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass

from hydra._internal.utils import get_args_parser

from gptkit.config.key_suggestions import dotted_keys, matching_keys
from gptkit.config.overrides import collect_bare_words, normalize_overrides
from gptkit.config.yaml_files import verb_of_config
from gptkit.errors import ConfigError, did_you_mean
from gptkit.plugins import registry


@dataclass(frozen=True)
class CommandLine:
    """A parsed command line."""

    verb: str
    flags: tuple[str, ...]
    overrides: tuple[str, ...]
    multirun: bool
    primary: str
    """The primary configuration: the verb's own, or the one that the user names (`--config-name mine --config-dir .`)."""

    def to_argv(self) -> list[str]:
        """Return the arguments for Hydra, without the program name."""
        return ["--config-name", self.primary, *self.flags, *self.overrides]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]  # argparse would print its usage and exit
        raise ConfigError(f"{message}; see gptkit --help")


def _hydra_parser() -> argparse.ArgumentParser:
    parser = get_args_parser()
    parser.__class__ = _Parser
    parser.allow_abbrev = False  # --res must not mean --resolve
    return parser


def _check_flags(argv: list[str], parser: argparse.ArgumentParser) -> None:
    """Reject unknown flags. For `--lr 1e-3` the error suggests `optimizer.lr=1e-3`.

    Raises:
        ConfigError: a flag is unknown. The message names the key that was probably meant.
    """
    known = parser._option_string_actions
    for number, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        if not re.match(r"--?[A-Za-z]", word) or flag in known or any(word.startswith(short) for short in known if len(short) == 2):
            continue
        following = argv[number + 1] if number + 1 < len(argv) else ""
        if not equals and following and "=" not in following and not following.startswith("--"):
            value = following
        verb = next((each for each in argv if each in registry().parts["command"]), "train")
        name = flag.lstrip("-").replace("-", "_")
        keys = [name] if name in dotted_keys(verb) else matching_keys(verb, name, near=True)
        hint = f"keys have no dashes: {keys[0]}={value or '<value>'}" if keys else "see gptkit --help"
        raise ConfigError(f"there is no flag {flag}; {hint}")


def parse_command_line(argv: list[str]) -> CommandLine:
    """Parse a command line without the program name.

    Raises:
        ConfigError: the verb is missing or unknown, a flag is unknown, or an override has no `=`.
    """
    parser = _hydra_parser()
    _check_flags(argv, parser)
    parsed = parser.parse_intermixed_args(argv)
    if parsed.experimental_rerun is not None:
        raise ConfigError("--experimental-rerun would load a pickle; use hydra.run.dir=<run> to continue a run")
    if parsed.package is not None and parsed.cfg is None:
        raise ConfigError("--package selects what --cfg job prints; add --cfg job")
    if parsed.config_path is not None:
        raise ConfigError("--config-path would hide the built-in configurations; use --config-dir, which adds a folder")
    overrides = list(parsed.overrides)
    verb = _pop_verb(overrides, required=parsed.config_name is None)
    if parsed.config_name is not None:
        config_verb = verb_of_config(parsed.config_name)
        if verb is not None and verb != config_verb:
            raise ConfigError(f"--config-name {parsed.config_name} is a configuration of {config_verb}, not of {verb}")
        verb = config_verb
    assert verb is not None
    overrides = collect_bare_words(verb, overrides)
    overrides = normalize_overrides(verb, overrides, multirun=parsed.multirun)
    return CommandLine(verb, tuple(_normalize_flags(parser, parsed)), tuple(overrides), parsed.multirun, parsed.config_name or verb)


def _normalize_flags(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> list[str]:
    """Return the flags in canonical form, also for `-mm` or `-cjob`. A sweep passes them on to its jobs."""
    flags = []
    for action in parser._actions:
        value = getattr(parsed, action.dest, None)
        if action.dest in ("overrides", "config_name") or value in (None, False):
            continue
        flags.append(action.option_strings[0] if value is True else f"{action.option_strings[0]}={value}")
    return flags


def _pop_verb(overrides: list[str], *, required: bool) -> str | None:
    """Remove the verb from the overrides and return it; None if there is none and it is not required."""
    known = registry().parts["command"]
    first = overrides[0] if overrides and "=" not in overrides[0] else None
    if first is None and required:
        raise ConfigError(f"the verb is missing; use one of {', '.join(known)}")
    if first is None or (first not in known and not required):
        return None
    if first not in known:
        registry().check_choice("command", first)
        raise ConfigError(f"there is no verb {first}.{did_you_mean(first, known)}{registry().failed()} See gptkit --help")
    return overrides.pop(0)
