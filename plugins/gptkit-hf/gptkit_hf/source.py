"""Locate models and tokenizers of transformers, and read their configurations. Custom code of a model is never executed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptkit.errors import ConfigError
from gptkit.hub import HubError, snapshot, split_revision
from gptkit.user_files import read_json_file

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from gptkit.model import ModelConfig

TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model", "tekken.json")
"""A folder with any of these files has a tokenizer."""

TEMPLATE_FILE = "chat_template.jinja"

EVERYTHING = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
"""Files of a model on the Hub that transformers may read. They contain no pickles."""

PICKLES = ("pytorch_model*.bin",)
"""Files of weights of a model without safetensors. transformers loads tensors from them, and nothing else."""

OWN_KEYS = ("transformers_version", "dtype", "torch_dtype", "_name_or_path")
"""Keys of a config.json about how it was written, which do not describe the model."""


def locate(path: str, key: str) -> str:
    """Return the argument for `from_pretrained`: a local folder, or a name on the Hub.

    Raises:
        ConfigError: the folder does not exist, or the Hub does not provide the model. The message names `key`.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return str(folder)
    if path.startswith((".", "/", "~")) or split_revision(path)[0].count("/") > 1 or folder.exists():
        raise ConfigError(
            f"{key}={path}: the folder does not exist; use a folder in Hugging Face format, or a model name on the Hub"
        )
    try:
        if split_revision(path)[1] is not None:  # transformers reads the downloaded files of that revision
            local = snapshot(path, EVERYTHING)
            return str(local if any(local.glob("*.safetensors")) else snapshot(path, EVERYTHING + PICKLES))
        snapshot(path, ["*config.json"])  # transformers itself would retry for half a minute
    except HubError as error:
        raise ConfigError(f"{error_prefix(key, path)}: {error}") from None
    return path


def error_prefix(key: str, path: str) -> str:
    """Return the beginning of an error message about loading `path`."""
    return (
        f"{key}={path}"
        if Path(path).expanduser().is_dir()
        else f"{key}={path} is not a local folder, and the Hub did not provide it"
    )


def has_tokenizer(path: str) -> bool:
    """Whether a folder contains tokenizer files. Returns True for any name on the Hub."""
    folder = Path(path).expanduser()
    return not folder.is_dir() or any((folder / name).is_file() for name in TOKENIZER_FILES)


def has_chat_template(path: str) -> bool:
    """Whether a folder, or a model on the Hub, has a chat template.

    Raises:
        ConfigError: the Hub does not provide the model.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        try:
            folder = snapshot(path, ["tokenizer_config.json", TEMPLATE_FILE])
        except HubError as error:
            raise ConfigError(f"{error_prefix('model.path', path)}: {error}") from None
    settings = folder / "tokenizer_config.json"
    return (folder / TEMPLATE_FILE).is_file() or (settings.is_file() and bool(read_json_file(settings).get("chat_template")))


def read_config(path: str) -> PreTrainedConfig:
    """Return the configuration of a causal language model.

    Raises:
        ConfigError: the configuration cannot be read, or is not that of a causal language model.
    """
    from transformers import AutoConfig

    where = locate(path, "model.path")
    with one_line_errors(error_prefix("model.path", path)):
        config: PreTrainedConfig = AutoConfig.from_pretrained(where, trust_remote_code=False)
    check_causal(config, path)
    return config


def check_causal(config: PreTrainedConfig, path: str) -> None:
    """Raise a ConfigError unless this is the configuration of a text-only causal language model that transformers supports."""
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    what = f"model.path={path}: a model of type {config.model_type}"
    if type(config) not in AutoModelForCausalLM._model_mapping.keys():  # noqa: SIM118  (it defines no __contains__)
        raise ConfigError(f"{what} is not a causal language model that transformers supports")
    fills_gaps = type(config) in AutoModelForMaskedLM._model_mapping.keys()  # noqa: SIM118
    if config.is_encoder_decoder or (fills_gaps and getattr(config, "is_decoder", True) is False):
        raise ConfigError(f"{what} is not causal; use a causal language model")
    if config.get_text_config() is not config:
        raise ConfigError(f"{what} is multimodal; use a text-only model")


def as_plain(config: PreTrainedConfig) -> dict[str, Any]:
    """Convert a configuration to plain values that YAML can store, including infinite numbers."""
    content: dict[str, Any] = json.loads(json.dumps(config.to_diff_dict(), sort_keys=True))
    return {key: value for key, value in content.items() if key not in OWN_KEYS}


def from_plain(content: Mapping[str, Any]) -> PreTrainedConfig:
    """Convert plain values back to a configuration.

    Raises:
        ConfigError: this version of transformers cannot read the configuration.
    """
    from transformers import AutoConfig

    with one_line_errors("model.config"):
        return AutoConfig.for_model(**json.loads(json.dumps(content)))


def sizes(config: PreTrainedConfig) -> dict[str, int]:
    """Return `layers`, `heads` and `width` of a configuration, as far as it uses the common names of transformers."""
    names = {"layers": "num_hidden_layers", "heads": "num_attention_heads", "width": "hidden_size"}
    result = {key: getattr(config, name, None) for key, name in names.items()}
    return {key: value for key, value in result.items() if isinstance(value, int) and value > 0}


def limit(config: PreTrainedConfig) -> int | None:
    """Return the maximum sequence length of the model; None if its configuration has none."""
    result = getattr(config, "max_position_embeddings", None)
    return result if isinstance(result, int) and result > 0 else None


def check_context(config: PreTrainedConfig, settings: ModelConfig) -> None:
    """Raise a ConfigError if training sequences would be longer than the model's limit."""
    longest = limit(config)
    if longest is not None and settings.context > longest:
        path = getattr(settings, "path", "")
        raise ConfigError(
            f"model.context={settings.context} is more than the {longest} positions of model.path={path}; choose at most {longest}"
        )


@contextlib.contextmanager
def one_line_errors(what: str) -> Iterator[None]:
    """Convert errors of the Hugging Face libraries to a one-line ConfigError, and hide their progress bars."""
    from transformers.utils import logging

    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # of many types, and often of many lines
        reason = " ".join(str(error).split())
        raise ConfigError(f"{what}: {reason[:300] or type(error).__name__}") from error
    finally:
        if was_enabled:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
