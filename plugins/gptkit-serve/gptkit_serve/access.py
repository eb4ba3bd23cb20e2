"""Who may use the server: API keys, and the addresses that need them."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from gptkit.errors import ConfigError, DataError
from gptkit.user_files import expand_path, open_user_file
from gptkit_serve import KEY_VARIABLE
from gptkit_serve.errors import APIError

OPEN_PATHS = ("/health",)
"""Paths that need no key."""
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
ANONYMOUS = "anonymous"


class Access:
    """Checks the key of requests. Without keys, only programs of this machine have access, but not web pages of other origins."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    def client(self, path: str, headers: Mapping[str, str]) -> str:
        """Return a name for the client that sent a request: the same for all requests with the same key.

        Raises:
            APIError: the key is missing or wrong, or the request comes from a web page that pretends to be on this machine.
        """
        if path in OPEN_PATHS:
            return ANONYMOUS
        if not self._digests:
            _check_local_name(headers.get("host", ""))
            return ANONYMOUS
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise _unauthorized("the API key is missing; send the header Authorization: Bearer <key>")
        digest = _digest(key.strip())
        matches = [hmac.compare_digest(digest, known) for known in self._digests]  # all of them: the time does not tell which one
        if not any(matches):
            raise _unauthorized("the API key is wrong")
        return digest.hex()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _unauthorized(message: str) -> APIError:
    return APIError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})


def _check_local_name(host: str) -> None:
    """Refuse names of other machines: a web page may give its own name the address of this machine (DNS rebinding)."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    if host and name not in LOCAL_NAMES and not _is_loopback(name or ""):
        raise APIError(403, "without an API key, the server answers requests to localhost alone", code="forbidden_host")


def read_keys(path: str | None) -> list[str]:
    """Return the keys of a file, or else of the environment variable; empty if there are none.

    Raises:
        ConfigError: the file cannot be read, or contains no key.
    """
    if path is None:
        return [key for key in [os.environ.get(KEY_VARIABLE, "").strip()] if key]
    try:
        with open_user_file(expand_path(path)) as file:
            lines = file.read().decode("utf-8").splitlines()
    except DataError as error:
        raise ConfigError(f"keys={path}: {error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"keys={path}: not UTF-8 text at byte {error.start}") from None
    keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not keys:
        raise ConfigError(f"keys={path}: there is no key in this file; write one per line")
    return keys


def check_address(host: str, keys: list[str]) -> None:
    """Raises: ConfigError: other machines could use the server without a key."""
    if not keys and host != "localhost" and not _is_loopback(host):
        raise ConfigError(
            f"host={host} lets other machines use the server, which needs a key: set the environment variable {KEY_VARIABLE}, or "
            "keys=<file>; or remove host to serve this machine alone"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
