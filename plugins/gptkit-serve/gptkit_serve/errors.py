"""Errors in the form of OpenAI's API: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Send

from gptkit.errors import GptkitError
from gptkit.generation.async_engine import EngineStoppedError

_log = logging.getLogger("gptkit")

TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
"""The type of an error by its status; other client errors are `invalid_request_error`, and errors of the server `server_error`."""

UNION_TAG = re.compile(r"(str|float|int|bool)$|(list|literal|nullable)\[|(function|constrained|tagged)-")
"""The names by which pydantic distinguishes the members of a union in the location of an error."""


class APIError(Exception):
    """A request that is refused."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            status: the HTTP status.
            message: what is wrong, and how to correct it.
            param: the field of the request that is wrong.
            code: what is wrong, for programs.
            headers: further headers of the response.
        """
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})

    def content(self) -> dict[str, Any]:
        """Return the body of the response."""
        kind = TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """Return the response."""
        return JSONResponse(self.content(), status_code=self.status, headers=self.headers)

    async def send(self, send: Send) -> None:
        """Send the response, where there is no request that FastAPI has parsed."""
        body = json.dumps(self.content()).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **self.headers}
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})


def overloaded(message: str) -> APIError:
    """Return the error for a request for which there is no room at present."""
    return APIError(503, message, code="server_overloaded", headers={"Retry-After": "1"})


def api_error(error: Exception) -> APIError:
    """Convert an error of gptkit or of the server. The details of unexpected errors are logged, not sent."""
    if isinstance(error, APIError):
        return error
    if isinstance(error, EngineStoppedError):
        return APIError(503, f"{error}; try again later", code="engine_stopped", headers={"Retry-After": "1"})
    if isinstance(error, GptkitError):
        return APIError(400, str(error))
    _log.error("a request failed: %s: %s", type(error).__name__, error, exc_info=error)
    return APIError(500, "the server failed to answer this request; its log says why", code="internal_error")


def invalid_request(errors: Sequence[Any]) -> APIError:
    """Convert the errors of pydantic or of FastAPI's parser of JSON. The first one that names a field is reported."""
    error = min(errors, key=lambda each: each["type"] in ("string_type", "list_type") and len(errors) > 1)
    location = [str(part) for part in error["loc"] if part not in ("body", "query", "path")]
    kind, message = error["type"], str(error["msg"]).removeprefix("Value error, ")
    if kind == "json_invalid":
        return APIError(400, f"the body is not valid JSON: {error.get('ctx', {}).get('error', message)}", code="invalid_json")
    param = ".".join(part for part in location if not UNION_TAG.match(part)) or None
    if param is None and kind == "value_error":
        return APIError(400, message, code="invalid_value")
    if param is None:
        return APIError(400, "the body must be a JSON object")
    if kind == "extra_forbidden":
        return APIError(400, f"unknown field {param}", param=param, code="unknown_parameter")
    if kind == "missing":
        return APIError(400, f"the field {param} is missing", param=param, code="missing_required_parameter")
    return APIError(400, f"{param}: {message}", param=param, code="invalid_value")


def install_handlers(app: FastAPI) -> None:
    """Make the app answer all errors in OpenAI's form."""

    async def on_validation_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip()
        if request.method == "POST" and not media_type.endswith("json"):
            return APIError(415, "the request needs the header Content-Type: application/json").response()
        return invalid_request(error.errors()).response()

    async def on_http_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        messages = {
            404: f"there is no {request.method} {request.url.path} here",
            405: f"{request.url.path} does not answer {request.method}",
            400: "the body is not valid JSON, or not UTF-8",
        }
        message = messages.get(error.status_code, str(error.detail))
        return APIError(error.status_code, message, headers=error.headers).response()

    async def on_error(_: Request, error: Exception) -> JSONResponse:
        return api_error(error).response()

    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_error)
    for kind in (APIError, GptkitError):
        app.add_exception_handler(kind, on_error)
