"""Where a model or tokenizer of transformers lies, and what its configuration says. Code that comes with a model is never run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptkit.errors import ConfigError
from gptkit.hub import HubError, snapshot, split_revision

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from gptkit.model import ModelConfig

TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model", "tekken.json")
"""Any of them makes a folder one that has a tokenizer."""

EVERYTHING = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
"""Files of a model on the hub that transformers may read: no pickle."""

OWN_KEYS = ("transformers_version", "dtype", "torch_dtype", "_name_or_path")
"""Keys of a config.json that say how it was written, not what the model is."""


def locate(path: str, key: str) -> str:
    """What transformers is asked for: a folder of this machine, or a name of the hub.

    Raises:
        ConfigError: it is written like a folder, and there is none, or the hub does not give it; names `key`.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return str(folder)
    if path.startswith((".", "/", "~")) or split_revision(path)[0].count("/") > 1 or folder.exists():
        raise ConfigError(f"{key}={path}: there is no such folder; name a folder of transformers, or a model of the hub")
    try:
        if split_revision(path)[1] is not None:  # transformers is given the files of that revision
            return str(snapshot(path, EVERYTHING))
        snapshot(path, ["*config.json"])  # transformers would ask for half a minute
    except HubError as error:
        raise ConfigError(f"{asked(key, path)}: {error}") from None
    return path


def asked(key: str, path: str) -> str:
    """How an error begins that asking for `path` brings about."""
    return f"{key}={path}" if Path(path).expanduser().is_dir() else f"{key}={path} is no folder here, and the hub did not give it"


def has_tokenizer(path: str) -> bool:
    """Whether a folder holds a tokenizer's files. A name of the hub is taken to."""
    folder = Path(path).expanduser()
    return not folder.is_dir() or any((folder / name).is_file() for name in TOKENIZER_FILES)


def read_config(path: str) -> PreTrainedConfig:
    """The configuration of a model that is a causal language model.

    Raises:
        ConfigError: there is none, or it is none.
    """
    from transformers import AutoConfig

    where = locate(path, "model.path")
    with one_line(asked("model.path", path)):
        config: PreTrainedConfig = AutoConfig.from_pretrained(where, trust_remote_code=False)
    check_causal(config, path)
    return config


def check_causal(config: PreTrainedConfig, path: str) -> None:
    """Raise a ConfigError where transformers has no causal language model of this configuration, or only part of one."""
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    what = f"model.path={path}: a model of type {config.model_type}"
    if type(config) not in AutoModelForCausalLM._model_mapping.keys():  # noqa: SIM118  (it has no __contains__ of its own)
        raise ConfigError(f"{what} is no causal language model that transformers knows")
    fills_gaps = type(config) in AutoModelForMaskedLM._model_mapping.keys()  # noqa: SIM118
    if config.is_encoder_decoder or (fills_gaps and getattr(config, "is_decoder", True) is False):
        raise ConfigError(f"{what} does not read from left to right alone; name a causal language model")
    if config.get_text_config() is not config:
        raise ConfigError(f"{what} reads more than text; name a model of text alone")


def as_plain(config: PreTrainedConfig) -> dict[str, Any]:
    """A configuration as what a YAML file can hold, infinite numbers included, for which transformers' own JSON has a spelling."""
    content: dict[str, Any] = json.loads(json.dumps(config.to_diff_dict(), sort_keys=True))
    return {key: value for key, value in content.items() if key not in OWN_KEYS}


def from_plain(content: Mapping[str, Any]) -> PreTrainedConfig:
    """The other way.

    Raises:
        ConfigError: this version of transformers cannot read it.
    """
    from transformers import AutoConfig

    with one_line("model.config"):
        return AutoConfig.for_model(**json.loads(json.dumps(content)))


def sizes(config: PreTrainedConfig) -> dict[str, int]:
    """`layers`, `heads` and `width` of a configuration, those that it has under transformers' common names."""
    names = {"layers": "num_hidden_layers", "heads": "num_attention_heads", "width": "hidden_size"}
    result = {key: getattr(config, name, None) for key, name in names.items()}
    return {key: value for key, value in result.items() if isinstance(value, int) and value > 0}


def limit(config: PreTrainedConfig) -> int | None:
    """The longest sequence that the model is made for; None where its configuration names none."""
    result = getattr(config, "max_position_embeddings", None)
    return result if isinstance(result, int) and result > 0 else None


def check_context(config: PreTrainedConfig, settings: ModelConfig) -> None:
    """Raise a ConfigError where training sequences would be longer than the model's limit."""
    longest = limit(config)
    if longest is not None and settings.context > longest:
        path = getattr(settings, "path", "")
        raise ConfigError(
            f"model.context={settings.context} is more than the {longest} positions of model.path={path}; choose at most {longest}"
        )


@contextlib.contextmanager
def one_line(what: str) -> Iterator[None]:
    """Errors of the Hugging Face libraries as one line, without their progress bars."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # OSError, ValueError, KeyError, RuntimeError and errors of their own, often of many lines
        reason = " ".join(str(error).split())
        raise ConfigError(f"{what}: {reason[:300] or type(error).__name__}") from error
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
