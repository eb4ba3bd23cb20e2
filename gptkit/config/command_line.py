"""From the words that a person types to the words that Hydra's grammar accepts.

`gptkit train a=1 -m` becomes `--config-name train -m a=1`: the verb is the primary configuration. Text arrives unharmed: the
value of a text key is quoted on the way in, since Hydra's grammar would refuse an apostrophe or take a comma for a sweep. What
this file gives is accepted again as it stands, because Lightning starts its workers with the same words.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException
from omegaconf import OmegaConf

from gptkit.config.key_suggestions import keys_of, meant
from gptkit.config.key_types import is_text, is_whole_number
from gptkit.config.sweep_size import check_sweep
from gptkit.config.yaml_files import verb_of
from gptkit.config_groups import conf_folders, groups, papers
from gptkit.errors import ConfigError, did_you_mean
from gptkit.plugins import registry

SHRINK = "shrink"
"""The group whose settings are to have the last word among those that settle a whole run."""


_LONGEST_KEY = 200
"""Characters of a key: groups are looked for as folders, whose names have an end."""


@dataclass(frozen=True)
class Words:
    """A command line, taken apart."""

    verb: str
    flags: tuple[str, ...]
    overrides: tuple[str, ...]
    multirun: bool
    primary: str
    """The primary configuration: the verb's own, or one of the user's (`--config-name mine --config-dir .`)."""

    def argv(self) -> list[str]:
        """The words for Hydra, without the program's name."""
        return ["--config-name", self.primary, *self.flags, *self.overrides]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]  # argparse would print its usage and exit
        raise ConfigError(f"{message}; see gptkit --help")


def _hydra_parser() -> argparse.ArgumentParser:
    parser = get_args_parser()
    parser.__class__ = _Parser
    parser.allow_abbrev = False  # --res is no --resolve
    return parser


def _check_flags(argv: list[str], parser: argparse.ArgumentParser) -> None:
    """Refuse a flag that is none: whoever writes `--lr 1e-3` is told `optimizer.lr=1e-3`.

    Raises:
        ConfigError: names the key that the flag stands for, where there is one.
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
        keys = [name] if name in keys_of(verb) else meant(verb, name, near=True)
        hint = f"a key is written without dashes: {keys[0]}={value or '<value>'}" if keys else "see gptkit --help"
        raise ConfigError(f"there is no flag {flag}; {hint}")


def _meant_word(verb: str, word: str) -> str:
    """What is to be written for a word without `=`."""
    keys = [word] if word in keys_of(verb) else meant(verb, word)
    return f"{keys[0]}=<value>" if keys else "key=value, for example model.layers=12"


def read_words(argv: list[str]) -> Words:
    """Take a command line (without the program's name) apart.

    Raises:
        ConfigError: no verb or an unknown one, an unknown flag, or an override that has no `=`.
    """
    parser = _hydra_parser()
    _check_flags(argv, parser)
    parsed = parser.parse_intermixed_args(argv)
    if parsed.experimental_rerun is not None:
        raise ConfigError("--experimental-rerun would load a pickle; give hydra.run.dir=<run> to continue a run")
    if parsed.package is not None and parsed.cfg is None:
        raise ConfigError("--package says which part --cfg job prints; add --cfg job")
    if parsed.config_path is not None:
        raise ConfigError("--config-path would hide the kit's own configurations; --config-dir adds a folder to them")
    overrides = list(parsed.overrides)
    verb = _leading_verb(overrides, needed=parsed.config_name is None)
    if parsed.config_name is not None:
        of_file = verb_of(parsed.config_name)
        if verb is not None and verb != of_file:
            raise ConfigError(f"--config-name {parsed.config_name} is a configuration of {of_file}, not of {verb}")
        verb = of_file
    assert verb is not None
    overrides = arranged(verb, overrides, multirun=parsed.multirun)
    return Words(verb, tuple(_flags(parser, parsed)), tuple(overrides), parsed.multirun, parsed.config_name or verb)


def _flags(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> list[str]:
    """The flags in one form, whatever they were typed like (`-mm`, `-cjob`): a sweep takes its own from those of its jobs."""
    found = []
    for action in parser._actions:
        value = getattr(parsed, action.dest, None)
        if action.dest in ("overrides", "config_name") or value in (None, False):
            continue
        found.append(action.option_strings[0] if value is True else f"{action.option_strings[0]}={value}")
    return found


def _leading_verb(overrides: list[str], *, needed: bool) -> str | None:
    """Take the verb off the words that are no flags; None where the first is none and none is needed."""
    known = registry().parts["command"]
    first = overrides[0] if overrides and "=" not in overrides[0] else None
    if first is None and needed:
        raise ConfigError(f"no verb given; one of {', '.join(known)}")
    if first is None or (first not in known and not needed):
        return None
    if first not in known:
        registry().check_choice("command", first)
        raise ConfigError(f"there is no verb {first}.{did_you_mean(first, known)}{registry().failed()} See gptkit --help")
    return overrides.pop(0)


def arranged(verb: str, overrides: list[str], *, multirun: bool) -> list[str]:
    """The overrides as Hydra's grammar accepts them, with the same meaning."""
    parser = OverridesParser.create()
    known_groups = groups()
    check_order(overrides)
    written_out = [part for word in overrides for part in _reward_of_run(word, known_groups)]
    found = [_arrange(verb, word, parser, known_groups, multirun) for word in written_out]
    if multirun:
        check_sweep(found)
    return found


def check_order(overrides: list[str]) -> None:
    """Papers come before `+shrink=`; what a user's own folder adds to a run may stand behind it.

    Raises:
        ConfigError: a paper of the kit or of a plugin has the last word.
    """
    provided = {group for group in papers() if any((folder / group).is_dir() for _, folder in conf_folders())}
    shrink = ""
    for word in overrides:
        group = word.removeprefix("+").partition("=")[0] if word.startswith("+") else ""
        if group == SHRINK:
            shrink = word
        elif shrink and group in provided:
            raise ConfigError(f"{shrink} makes smaller what stands before it, and {word} comes after: write {word} {shrink}")


def _reward_of_run(word: str, known_groups: dict[str, list[str]]) -> list[str]:
    """`reward=runs/rm` is short for `reward=model reward.checkpoint=runs/rm`; every other word stays."""
    key, _, value = word.partition("=")
    if key != "reward" or value in known_groups["reward"] or "," in value or not ("/" in value or Path(value).is_dir()):
        return [word]
    return ["reward=model", f"reward.checkpoint={value}"]


def _arrange(verb: str, word: str, parser: OverridesParser, known_groups: dict[str, list[str]], multirun: bool) -> str:
    match = re.match(r"(?P<mark>\+{0,2}|~)(?P<key>[\w./@:-]+)=(?P<value>.*)$", word, re.DOTALL)
    if match is None:
        if not word.startswith("~"):
            raise ConfigError(f"{word!r} is no override; write {_meant_word(verb, word)}")
        return word
    key, value = match["key"], match["value"]
    if len(key) > _LONGEST_KEY:
        raise ConfigError(f"there is no key of {len(key):,} characters, {key[:40]}...")
    head = f"{match['mark']}{key}="
    if key in known_groups:
        return word
    if _is_deep(value):  # Hydra and OmegaConf walk it by recursion
        if not is_text(verb, key):
            raise ConfigError(f"{key}={value[:20]}... is nested too deeply")
        return head + quoted(literal(verb, value))
    try:
        parsed: Override | None = parser.parse_override(word)
    except HydraException:
        parsed = None
    except ValueError as error:  # Python reads no whole number of thousands of digits
        if not is_text(verb, key):
            raise ConfigError(f"{key}={value[:20]}... must fit in 64 bits") from error
        parsed = None
    if is_text(verb, key):
        if parsed is not None and (isinstance(parsed._value, QuotedString) or value == "null"):
            return word
        if parsed is not None and multirun and parsed.is_sweep_override():
            return word
        return head + quoted(literal(verb, value))
    if parsed is None:
        return word if value[:1] in "[{'\"" else head + quoted(value)
    if is_whole_number(verb, key) and (whole := _whole(parsed._value)) is not None:
        return head + whole
    return word


def _is_deep(value: str) -> bool:
    """Whether more lists and mappings stand within one another than any setting has."""
    depth = deepest = 0
    for letter in value:
        depth += (letter in "[{(") - (letter in ")}]")
        deepest = max(deepest, depth)
    return deepest > 30


def _whole(value: object) -> str | None:
    """A number such as 1e5, or a sweep over such numbers, written without a point; None: it is something else."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    if isinstance(value, ChoiceSweep) and value.simple_form:
        each = [_whole(float(one)) if isinstance(one, int | float) else None for one in value.list]
        return ",".join(one for one in each if one is not None) if None not in each else None
    if isinstance(value, RangeSweep) and not value.shuffle:
        bounds = [None if bound is None else _whole(float(bound)) for bound in (value.start, value.stop, value.step)]
        return f"range({','.join(bound for bound in bounds if bound is not None)})" if None not in bounds else None
    return None


def literal(verb: str, text: str) -> str:
    """The text with every `${` escaped that does not stand for a key of the verb or one of OmegaConf's and Hydra's resolvers."""
    keys = {field.name for field in dataclasses.fields(registry().parts["command"][verb].part)} | {"hydra"}

    def escaped(match: re.Match[str]) -> str:
        name = match["name"]
        known = OmegaConf.has_resolver(name) if match["colon"] else name.partition(".")[0] in keys
        return match[0] if known else "\\" + match[0]

    return re.sub(r"(?<!\\)\$\{(?P<name>[\w.]*)(?P<colon>:?)", escaped, text)


def quoted(value: str) -> str:
    """The text as Hydra's grammar takes it, whatever is in it."""
    return QuotedString(text=value, quote=Quote.single).with_quotes()
