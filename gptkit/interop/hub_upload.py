"""Upload a folder to a model repository of the Hugging Face hub, in one commit."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gptkit.errors import ConfigError, GptkitError

CARD = "README.md"
"""The file that the hub shows as the model card."""

MODEL_FILES = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
    "pytorch_model*.bin",
    "pytorch_model.bin.index.json",
    "tokenizer*.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
]
"""Files that describe a model. Those of an earlier upload that the new one lacks are removed: they belong to another model."""

_LOGIN = "set HF_TOKEN to a token with write access, or run hf auth login"


@dataclass(frozen=True)
class Repository:
    """The destination of an upload."""

    name: str
    """`<user or organization>/<name>`."""

    private: bool | None = None
    """None: the hub decides for a new repository; an existing one keeps its visibility."""

    branch: str = "main"
    """The branch to commit to. It is created from the main branch if it does not exist."""


@dataclass(frozen=True)
class Uploaded:
    """The result of an upload."""

    url: str
    commit: str
    private: bool
    keeps_card: bool
    """Whether the repository had a model card, which was not replaced."""


def check_repository_name(name: str) -> None:
    """Check the name of the repository, without a request to the hub.

    Raises:
        ConfigError: it is not `<user>/<name>`, or has characters that the hub does not allow.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # no __all__, but a documented function

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        plain = name.removeprefix("https://huggingface.co/").removeprefix("hf:").strip("/")
        hint = f" Did you mean to={plain}?" if plain != name and plain.count("/") == 1 else ""
        reason = str(error).partition(f": '{name}'")[0].rstrip(".")
        raise ConfigError(f"to={name}: is not a name of a model repository, <user>/<name> ({reason}).{hint}") from None
    if "/" not in name:
        raise ConfigError(f"to={name}: names no user or organization; write to=<user>/{name}")


def check_access(name: str) -> None:
    """Check that there is a token and that the hub accepts it, before any work is done.

    Raises:
        GptkitError: there is no token, the hub rejects it, or the hub cannot be reached.
    """
    from huggingface_hub import HfApi, constants, get_token
    from huggingface_hub.errors import HfHubHTTPError

    if constants.HF_HUB_OFFLINE:
        raise GptkitError(f"to={name}: HF_HUB_OFFLINE is set, which forbids the network; unset it, or use dry_run=true")
    with _hub_errors(name):
        if get_token() is None:
            raise GptkitError(f"to={name}: there is no token for the hub; {_LOGIN}")
        try:
            HfApi().whoami()
        except HfHubHTTPError as error:  # some tokens may upload, but not make this request
            if _status(error) == 401:
                raise


def upload(folder: Path, repository: Repository, *, message: str, replace_card: bool) -> Uploaded:
    """Create the repository if there is none, and commit the files of the folder to it.

    Args:
        folder: the files to upload, including a model card.
        repository: the destination.
        message: the commit message.
        replace_card: whether to replace an existing model card.

    Raises:
        GptkitError: the hub rejects the upload or cannot be reached, or the connection breaks. The message names the fix.
    """
    from huggingface_hub import HfApi

    hub, name, branch = HfApi(), repository.name, repository.branch
    with _hub_errors(name):
        url = str(hub.create_repo(name, private=repository.private, exist_ok=True))
        private = bool(hub.model_info(name).private)
        if repository.private and not private:
            raise GptkitError(
                f"to={name}: the repository is public, and private=true does not change that; make it private in its settings on "
                "the hub, or leave private out. Nothing was uploaded"
            )
        if branch != "main":
            hub.create_branch(name, branch=branch, exist_ok=True)
        keeps_card = not replace_card and hub.file_exists(name, CARD, revision=branch)
    with _hub_errors(name, uploading=True), _progress_bars():
        commit = hub.upload_folder(
            repo_id=name,
            folder_path=folder,
            revision=branch,
            commit_message=message,
            ignore_patterns=[CARD] if keeps_card else None,
            delete_patterns=MODEL_FILES,
        )
    return Uploaded(url, str(commit.oid), private, keeps_card)


@contextlib.contextmanager
def _hub_errors(name: str, *, uploading: bool = False) -> Iterator[None]:
    """Convert errors of the hub, the network and their libraries to one line.

    Raises:
        GptkitError: in place of any other exception.
    """
    retry = "; no file of the repository was changed. Run the same command again" if uploading else ""
    try:
        yield
    except GptkitError:
        raise
    except Exception as error:  # errors of the HTTP library, which depends on the version of huggingface_hub
        cause = _first_cause(error)
        if status := _status(cause):
            raise GptkitError(f"to={name}: {_describe_refusal(cause, status, name)}{retry if status >= 500 else ''}") from error
        reason = str(cause).partition("\n")[0] or type(cause).__name__
        lost = "the upload broke off" if uploading else "the hub cannot be reached"
        raise GptkitError(f"to={name}: {lost} ({reason}){retry}") from error


@contextlib.contextmanager
def _progress_bars() -> Iterator[None]:
    """Show the progress bars of huggingface_hub only on a terminal: in a log, they would be mixed with error messages."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _first_cause(error: BaseException) -> BaseException:
    """Return the HTTP error behind an exception, or else the first exception of its chain."""
    while not _status(error) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _describe_refusal(error: Any, status: int, name: str) -> str:
    said = " ".join(str(getattr(error, "server_message", "") or "").split()).rstrip(".")
    detail = f"{status}: {said}" if said else str(status)
    if status == 401:
        return f"the hub does not accept the token ({detail}); {_LOGIN}"
    if status == 403:
        owner = name.partition("/")[0]
        return f"you may not write to it ({detail}); use a token with write access to the repositories of {owner}"
    if status == 429:
        return f"the hub asks to wait ({detail}); try again later"
    if status >= 500:
        return f"the hub failed ({detail})"
    return f"the hub refuses ({detail})"


def _status(error: Any) -> int:
    """Return the status code of the hub's response; 0 if there was none."""
    return int(getattr(getattr(error, "response", None), "status_code", 0))
