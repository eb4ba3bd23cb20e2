"""Read the YAML of `conf/` folders and of a user's folder (`--config-dir`) without Hydra."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gptkit.config_groups import config_folders, conflicting_files, user_config_folders
from gptkit.errors import ConfigError, did_you_mean
from gptkit.plugins import registry


def config_dir(argv: Sequence[str]) -> Path | None:
    """Return the folder of `--config-dir`; None without that flag."""
    for word, following in itertools.pairwise([*argv, ""]):
        flag, equals, value = word.partition("=")
        if flag in ("--config-dir", "-cd") and (value or following):
            return Path(value if equals else following)
    return None


def find_config_file(name: str) -> Path | None:
    """Return the file of a configuration by its name without suffix; None if there is none, as for parts and schemas."""
    try:
        return next((path for folder in config_folders() if (path := folder / f"{name}.yaml").is_file()), None)
    except (OSError, ValueError):  # not a valid file name
        return None


def check_user_files(primary: str, words: Sequence[str]) -> None:
    """Check that the files of the user's folder that the overrides choose can be read. Hydra's own errors would not name them.

    Raises:
        ConfigError: a file cannot be read. The message names the file and the line.
    """
    names = ["/".join(word.lstrip("+").split("=", 1)) for word in words if re.fullmatch(r"\+?[\w/-]+=[\w.-]+", word)]
    for name in [primary, *names]:
        path = find_config_file(name)
        if path is not None and any(path.is_relative_to(folder) for folder in user_config_folders()):
            read_config_file(name)


def read_config_file(name: str) -> dict[str, Any] | None:
    """Read a configuration; None if it has no file.

    Raises:
        ConfigError: the file cannot be read, or is not a mapping.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import MarkedYAMLError, YAMLError

    if name in conflicting_files():
        raise ConfigError(conflicting_files()[name][1])
    path = find_config_file(name)
    if path is None:
        return None
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text at byte {error.start}") from error
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}: line {line} is not valid YAML: {error.problem}") from error
    except (YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not a YAML mapping: {str(error).partition(chr(10))[0]}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"{path} must be a mapping of keys to values; it is {'empty' if not content else 'a list'}")
    return content  # type: ignore[return-value]


def iter_defaults(content: dict[str, Any] | None, own_group: str) -> Iterator[tuple[str, str, bool]]:
    """Yield (group, option, whether it is an override) for each entry of a defaults list."""
    for entry in (content or {}).get("defaults") or []:
        if isinstance(entry, str) and entry != "_self_":
            path = entry.removeprefix("/") if entry.startswith("/") else f"{own_group}/{entry}".lstrip("/")
            group, _, option = path.rpartition("/")
            yield group, option, False
        elif isinstance(entry, dict):
            for key, option in entry.items():
                words = str(key).split()
                yield words[-1].removeprefix("/").partition("@")[0], "null" if option is None else str(option), "override" in words


def verb_of_config(primary: str) -> str:
    """Return the verb of a primary configuration: its name, or the verb in its defaults list (`- command/train`).

    Raises:
        ConfigError: the configuration does not exist, or does not choose a verb.
    """
    verbs = registry().parts["command"]
    primary = primary.removesuffix(".yaml")
    if primary in verbs:
        return primary
    content = read_config_file(primary)
    if content is None:
        known = {path.stem for folder in config_folders() for path in folder.glob("*.yaml")}
        raise ConfigError(
            f"--config-name {primary}: there is no {primary}.yaml in {', '.join(map(str, config_folders()[:1]))}."
            f"{did_you_mean(primary, known)} Set its folder with --config-dir"
        )
    entries = list(iter_defaults(content, ""))
    for group, option, _ in entries:
        if group == "command" and option in verbs:
            return option
    path, start = (
        find_config_file(primary),
        next((option for group, option, _ in entries if not group and option in verbs), "train"),
    )
    raise ConfigError(
        f"{path}: a primary configuration must begin like conf/{start}.yaml, with command/{start} in its defaults list; "
        f"to change some keys of {start}, write a file experiment/{path.name if path else primary} and add +experiment={primary}"
    )
