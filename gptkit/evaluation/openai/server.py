"""An OpenAI-compatible server: its address, its model, and what its errors mean."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import openai

from gptkit.errors import ConfigError, DataError, GptkitError, did_you_mean
from gptkit.evaluation.config import SERVER, OpenAIConfig

LONGEST_MESSAGE = 200
"""Characters of a server's message that are shown."""
CONTINUE = "With to=, the items that were answered are kept, and the same command continues."
OVERFLOW = re.compile(
    r"context.{0,10}(length|window|size)|maximum.{0,20}(length|context)|max_model_len|too (long|many tokens)", re.I
)
"""What servers say about a prompt that is longer than the context."""


@dataclass(frozen=True)
class Server:
    """A server with the model that is evaluated."""

    url: str
    model: str
    context: int | None
    """The number of tokens that the model reads at once; None: not known."""
    timeout: float
    retries: int
    described: dict[str, Any] = field(default_factory=dict)
    """What the server says about the model: its `root` and `owned_by`."""

    @property
    def source(self) -> str:
        """The server as it is typed."""
        return f"checkpoint={SERVER}{self.url}"

    def client_settings(self) -> dict[str, Any]:
        """Return the arguments of a client of the package openai. The key is read from the environment, and not kept."""
        return _client_settings(self.url, self.timeout, self.retries)

    @contextmanager
    def explain_errors(self, where: str = "") -> Iterator[None]:
        """Convert errors of the package openai to a GptkitError of one line.

        Args:
            where: the item that was asked for.
        """
        try:
            yield
        except openai.OpenAIError as error:
            raise self._explained(error, where) from error

    def _explained(self, error: Exception, where: str) -> GptkitError:
        message = server_message(error)
        if isinstance(error, openai.BadRequestError) and OVERFLOW.search(message):
            return DataError(
                f"{where or 'a request'}: does not fit the context of the model ({message}); use a smaller fewshot.k, or set "
                "openai.tokenizer=<run or hf:folder>, which truncates requests on the left"
            )
        if isinstance(error, openai.NotFoundError):
            return GptkitError(f"{self.source}: has no model {self.model!r}, or no such endpoint ({message}); set openai.model")
        return _connection_problem(error, self.source, self.timeout, self.retries, ". " + CONTINUE)


def connect(source: str, settings: OpenAIConfig) -> Server:
    """Ask a server for its model.

    Args:
        source: `openai:` and the address, such as openai:http://localhost:8000/v1.
        settings: see `OpenAIConfig`.

    Raises:
        ConfigError: the address is invalid, or the server does not have the model.
        GptkitError: the server does not answer.
    """
    url = _checked_url(source)
    name = f"checkpoint={SERVER}{url}"
    entries: dict[str, dict[str, Any]] = {}
    try:
        with openai.OpenAI(**_client_settings(url, settings.timeout, min(settings.retries, 1))) as client:
            entries = {each.id: each.model_dump() for each in client.models.list()}
    except openai.NotFoundError:
        if settings.model is None:
            raise ConfigError(f"{name}: does not list its models; set openai.model, or correct the address") from None
    except openai.OpenAIError as error:
        raise _connection_problem(error, name, settings.timeout, min(settings.retries, 1)) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise GptkitError(f"{name}: is not an OpenAI-compatible server; the address usually ends with /v1") from error
    model = settings.model or next(iter(entries), None)
    names = ", ".join(list(entries)[:10])
    if model is None:
        raise ConfigError(f"{name}: serves no model")
    if settings.model is None and len(entries) > 1:
        raise ConfigError(f"{name}: serves several models; choose one with openai.model: {names}")
    if entries and model not in entries:
        raise ConfigError(f"{name}: has no model {model!r}.{did_you_mean(model, entries)} It serves {names}")
    entry = entries.get(model, {})
    served = entry.get("max_model_len")
    context = settings.context or (served if isinstance(served, int) and served > 0 else None)
    described = {key: entry[key] for key in ("root", "owned_by") if isinstance(entry.get(key), str)}
    return Server(url, model, context, settings.timeout, settings.retries, described)


def _checked_url(source: str) -> str:
    url = source.removeprefix(SERVER).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"checkpoint={SERVER}... needs an address, such as checkpoint=openai:http://localhost:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            f"checkpoint={SERVER}{parts.scheme}://{parts.hostname}...: the address is more than a path, and is written to files; "
            "put the key into the environment variable OPENAI_API_KEY"
        )
    return url


def _client_settings(url: str, timeout: float, retries: int) -> dict[str, Any]:
    key = os.environ.get("OPENAI_API_KEY") or "none"  # servers without authentication ignore it
    return {"api_key": key, "base_url": url, "timeout": timeout, "max_retries": retries}


def _connection_problem(error: Exception, name: str, timeout: float, retries: int, again: str = "") -> GptkitError:
    if isinstance(error, openai.APITimeoutError):
        return GptkitError(f"{name}: no answer within openai.timeout={timeout:g} seconds{again}")
    if isinstance(error, openai.APIConnectionError):
        cause = " ".join(str(error.__cause__ or error).split())[:LONGEST_MESSAGE]
        return GptkitError(f"{name}: the server cannot be reached ({cause}); start it, or correct the address{again}")
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        return GptkitError(f"{name}: refuses the key ({error.status_code}); set the environment variable OPENAI_API_KEY")
    if isinstance(error, openai.APIStatusError):
        tries = f" after {retries} retries" if error.status_code in (408, 409, 429) or error.status_code >= 500 else ""
        return GptkitError(f"{name}: status {error.status_code}{tries} ({server_message(error)}){again}")
    return GptkitError(f"{name}: is not an OpenAI-compatible server ({server_message(error)}); the address usually ends with /v1")


def server_message(error: Exception) -> str:
    """Return what the server says about an error, on one line."""
    body = getattr(error, "body", None)
    text = body.get("message") if isinstance(body, dict) else None
    words = " ".join((text if isinstance(text, str) else str(error)).split())
    return words if len(words) <= LONGEST_MESSAGE else words[: LONGEST_MESSAGE - 3] + "..."
