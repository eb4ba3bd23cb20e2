"""Turn errors of Hydra and OmegaConf into one line that names the key and the fix."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from gptkit.config.key_errors import invalid_value_message, rejected_group_message, sibling_keys, suggest_key, unknown_key_message
from gptkit.config.yaml_files import find_config_file
from gptkit.config_groups import conf_folders, groups, verb_keys
from gptkit.errors import ConfigError, GptkitError, did_you_mean
from gptkit.plugin_discovery import PLUGIN_OF, install_hint
from gptkit.plugins import plugin_packages, registry


@contextmanager
def translate_hydra_errors(verb: str, words: Sequence[str]) -> Iterator[None]:
    """Convert exceptions that Hydra raises inside the block to a `ConfigError`."""
    try:
        yield
    except GptkitError:
        raise
    except YAMLError as error:
        raise ConfigError(_format_yaml_error(error)) from error
    except UnicodeDecodeError as error:
        if not _raised_by_hydra(error):
            raise
        raise ConfigError(f"{_find_chosen_files(words)}: not UTF-8 text at byte {error.start}") from error
    except (HydraException, OmegaConfBaseException, AssertionError, ValueError) as error:
        raise ConfigError(_format_error(verb, words, error)) from error
    except RecursionError as error:
        if not _raised_by_hydra(error):
            raise
        raise ConfigError(f"{_find_chosen_files(words)}: the defaults list of a configuration includes itself") from error
    except OSError:  # reported elsewhere, with the path
        raise
    except Exception as error:  # Hydra raises exceptions of any type for broken files
        if not _raised_by_hydra(error):
            raise
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise ConfigError(f"{_find_chosen_files(words)}: cannot be composed ({reason})") from error


def _raised_by_hydra(error: BaseException) -> bool:
    """Whether Hydra or OmegaConf raised the exception, so that a file or an override is at fault and not a verb's code."""
    packages = [str(frame.f_globals.get("__name__")).partition(".")[0] for frame, _ in traceback.walk_tb(error.__traceback__)]
    deepest = max((depth for depth, package in enumerate(packages) if package in ("hydra", "omegaconf")), default=-1)
    own_packages = plugin_packages().keys() | {"gptkit"}
    return deepest >= 0 and own_packages.isdisjoint(packages[deepest:])


def _find_chosen_files(words: Sequence[str]) -> str:
    """Return the files that the overrides choose: only the user's if there are any, because those of gptkit are tested."""
    names = ["/".join(word.lstrip("+").partition("@")[0].split("=", 1)) for word in words if "=" in word]
    files = [path for name in names if (path := find_config_file(name))]
    user_files = [path for path in files if not any(path.is_relative_to(folder) for _, folder in conf_folders())]
    return ", ".join(map(str, user_files or files)) or "the configuration"


def _format_error(verb: str, words: Sequence[str], error: Exception) -> str:
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if reason := _format_uninstalled_kind(words):
        return reason
    if isinstance(error, MissingConfigException):
        return _format_missing_option(verb, error, words)
    if isinstance(error, OverrideParseException):
        reason = _first_line(error)
        return f"{error.override} cannot be parsed" + (
            ": it is not of the form key=value" if reason.startswith("LexerNoViableAlt") else f": {reason}"
        )
    if isinstance(cause, (ConfigAttributeError, ConfigKeyError)) and cause.full_key:
        return unknown_key_message(verb, _find_typed_key(str(cause.full_key), words), sibling_keys(cause))
    if isinstance(cause, OmegaConfBaseException) and cause is not error:
        return invalid_value_message(verb, str(cause.full_key or ""), _first_line(cause))
    for word in words:  # checked before the error is attributed to a file
        group = re.split(r"[=@]", word.lstrip("+~"))[0]
        if group in groups() and (reason := rejected_group_message(verb, group)):
            return reason
    in_file = re.match(r"In '(?P<file>[^']+)': (?P<rest>.*)", str(error), re.DOTALL)
    if in_file:
        return f"{_display_path(in_file['file'])}: {_format_file_error(verb, words, in_file['file'], in_file['rest'])}"
    key = str(error.full_key or "") if isinstance(error, OmegaConfBaseException) else ""
    return _format_known_message(verb, words, str(error)) or (f"{key}: " if key else "") + _first_line(error)


def _format_uninstalled_kind(words: Sequence[str]) -> str:
    """Explain that a word needs a part of a kind of which none is installed, and which Hydra does not know as a group."""
    for word in words:
        key, _, option = word.lstrip("+").partition("=")
        kind = key.partition(".")[0]
        if kind in registry().parts and not groups().get(kind):
            hint = install_hint(kind, option) or f", because no {kind} is installed"
            packages = [f"{known}={name} (pip install {package})" for (known, name), package in PLUGIN_OF.items() if known == kind]
            missing = f"there is no {word}{hint}" if key == kind else f"{key} is set, but no {kind} is chosen"
            return missing + ("" if key == kind or not packages else f"; add {' or '.join(packages)}") + registry().failed()
    return ""


def _find_typed_key(key: str, words: Sequence[str]) -> str:
    """Return the full typed key. OmegaConf names only the first missing component."""
    typed = (word.lstrip("+~").partition("=")[0] for word in words)
    return next((whole for whole in typed if whole.startswith(f"{key}.")), key)


def _display_path(name: str) -> str:
    """Return the path of a config file as users know it: in `conf/`, or in their own folder."""
    file = find_config_file(name)
    is_provided = file is None or any(file.is_relative_to(folder) for _, folder in conf_folders())
    return f"conf/{name}.yaml" if is_provided else str(file)


def _format_file_error(verb: str, words: Sequence[str], file: str, text: str) -> str:
    """Explain an error in a file of `conf/`, for which Hydra provides only the message."""
    first, *more = (line.strip() for line in text.splitlines() if line.strip())
    key = next((line.partition(": ")[2] for line in more if line.startswith("full_key: ")), "")
    if first.endswith("raised while composing config:") and more:
        if key and key.partition(".")[0] == file.partition("/")[0] and key.partition(".")[0] not in verb_keys(verb):
            return "its first line must be # @package _global_, because it sets keys of the whole run"
        return (
            unknown_key_message(verb, key)
            if first.startswith(("ConfigKey", "ConfigAttribute"))
            else invalid_value_message(verb, key, more[0])
        )
    return _format_known_message(verb, words, text) or first


def _format_known_message(verb: str, words: Sequence[str], text: str) -> str:
    """Rewrite a message of Hydra; empty if its first line is clear enough."""
    if text.startswith("Ambiguous value for argument"):
        word = text.partition("'")[2].partition("\n")[0].rpartition("'")[0]
        key, _, value = word.partition("=")
        return f"{word} contains a comma: add -m to sweep over the values, or write a list as '{key}=[{value}]'"
    if text.startswith("force-add of config groups"):
        key, _, value = text.partition("'++")[2].partition("\n")[0].rstrip("'").partition("=")
        return f"{key} is a group and cannot be set with ++: write {key}={value}"
    if text.startswith("Unexpected type for root: NoneType"):
        return _format_key_without_part(words)
    if text.startswith("Config group override must be a string or a list"):
        word = next((word for word in words if re.match(r"[\w/@.+]+=(null|true|false|[\d.]+)?$", word, re.IGNORECASE)), "")
        return f"{word} chooses no option; to remove a part, write ~{word.partition('=')[0]}"
    if named := re.match(r"Could not override '(?P<key>[^']+)'", text):
        return _format_unknown_group(verb, named["key"])
    if named := re.match(r"(?P<key>\S+) appears more than once in the final defaults list", text):
        return f"{named['key']} already has an option: to choose another, write {named['key']}=<option> once, without +"
    if named := re.match(r"Multiple values for (?P<key>\S+)\. To override a value use 'override \S+: (?P<option>[^']+)'", text):
        return f"{named['key']} is already chosen: write {named['key']}={named['option']}, without +"
    if named := re.match(r"Could not append to config. An item is already at '(?P<key>[^']+)'", text):
        return f"{named['key']} already exists: write {named['key']}=<value>, without +"
    if named := re.match(r"Could not delete from config. '(?P<key>[^']+)' does not exist", text):
        return f"~{named['key']}: there is no key {named['key']}.{suggest_key(verb, named['key'])}"
    return ""


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _format_yaml_error(error: YAMLError) -> str:
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    if mark is None:
        return f"a file of conf/ is not valid YAML: {_first_line(error)}"
    return f"{mark.name}: line {mark.line + 1} is not valid YAML: {getattr(error, 'problem', None) or _first_line(error)}"


def _format_missing_option(verb: str, error: MissingConfigException, words: Sequence[str]) -> str:
    name = str(error.missing_cfg_file or "")
    group, _, option = name.removesuffix(".yaml").lstrip("/").rpartition("/")
    registry().check_choice(group, option)
    if not group:
        verbs = registry().parts["command"]
        if option in verbs:
            return (
                f"the verb {option} of {verbs[option].distribution} lacks its configuration, conf/{option}.yaml (see docs/parts.md)"
            )
        return f"there is no configuration {option}.{did_you_mean(option, verbs)}"
    if hint := install_hint(group, option):
        return f"there is no {group}={option}{hint}{registry().failed()}"
    options = groups().get(group) or list(error.options or ())
    if not options:
        return _format_unknown_group(verb, group)
    if not option:  # a key of a group without a chosen option
        return _format_key_without_part(words)
    near = did_you_mean(option, options)
    choices = f"{', '.join(options)}{', and null for no logger' if group == 'logger' else ''}"
    hint = near.replace("Did you mean ", f"Did you mean {group}=") if near else f" The options are {choices}."
    return f"there is no {group}={option}.{hint}{registry().failed()}"


def _format_key_without_part(words: Sequence[str]) -> str:
    """Explain that a key of an optional part is set although no such part is chosen, or a sweep chooses it for each job."""
    parts = registry().parts
    typed = {key: value for key, _, value in (word.lstrip("+").partition("=") for word in words)}
    of_parts = [(key, key.partition(".")[0]) for key in typed if "." in key and key.partition(".")[0] in parts]
    for key, kind in of_parts:
        if kind not in typed:
            return f"{key} is set, but no {kind} is chosen; add one of {', '.join(f'{kind}={name}' for name in parts[kind])}"
    for key, kind in of_parts:
        if "," in typed[kind] or typed[kind].endswith(")"):  # Hydra applies keys that are not swept before it chooses the parts
            return (
                f"{key} belongs to a {kind} that {kind}={typed[kind]} chooses for each job; set it for each job, too: "
                f"'{key}=choice({typed[key]})'"
            )
    keys = ", ".join(key for key, _ in of_parts) or "a key"
    return f"{keys} belongs to a part that is not chosen"


def _format_unknown_group(verb: str, name: str) -> str:
    if name not in groups():
        return f"there is no group {name}.{did_you_mean(name, groups())}"
    return rejected_group_message(verb, name) or f"{name} has no option yet and must be added with +: write +{name}=<option>"
