"""What happens to every request before it reaches an endpoint: keys, limits, time limit and metrics. A plain ASGI middleware."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gptkit_serve.access import OPEN_PATHS, Access
from gptkit_serve.errors import APIError, api_error
from gptkit_serve.limits import ClientLimits
from gptkit_serve.metrics import Metrics
from gptkit_serve.streaming import ClientLeftError, event

SECONDS_FOR_ERROR = 5.0
"""Seconds in which the error that ends a request must be sent; a client that does not read would block it."""


class Gateway:
    """Admits requests to an app, and ends those that take too long."""

    def __init__(
        self, app: ASGIApp, *, access: Access, limits: ClientLimits, metrics: Metrics, timeout: float, body_size: int
    ) -> None:
        """
        Args:
            app: the app.
            access: checks the keys.
            limits: limits of each key.
            metrics: where requests are counted.
            timeout: maximum number of seconds of a request, until its answer is sent.
            body_size: maximum number of bytes of a request.
        """
        self._app, self._access, self._limits, self._metrics = app, access, limits, metrics
        self._timeout, self._body_size = timeout, body_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response = _Response(send)
        start = time.perf_counter()
        with self._metrics.running_requests.track_inprogress():
            try:
                await self._admit(scope, receive, response)
            except ClientLeftError:
                response.status = response.status or 499  # as proxies log it
            except Exception as error:
                await response.end(api_error(error))
            finally:
                self._metrics.count(scope, response.status or 500, time.perf_counter() - start)

    async def _admit(self, scope: Scope, receive: Receive, response: _Response) -> None:
        try:
            client = self._access.client(scope["path"], Headers(scope=scope))
            if scope["path"] in OPEN_PATHS:
                await self._app(scope, receive, response)
                return
            with self._limits.admit(client):
                await self._within_time(scope, receive, response)
        except APIError as error:
            await response.end(error)

    async def _within_time(self, scope: Scope, receive: Receive, response: _Response) -> None:
        try:
            async with asyncio.timeout(self._timeout) as limit:
                body = _Body(receive, self._body_size)
                body.check(Headers(scope=scope).get("content-length", ""))
                try:
                    await self._app(scope, body, response)
                finally:
                    await body.discard()
        except TimeoutError:
            if not limit.expired():
                raise
            error = APIError(504, f"the request took more than {self._timeout:g} s", code="timeout")
            with suppress(TimeoutError):
                async with asyncio.timeout(SECONDS_FOR_ERROR):
                    await response.end(error)


class _Body:
    """The body of a request, up to a number of bytes."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._limit, self._size = receive, limit, 0
        self._is_too_long = False

    def check(self, content_length: str) -> None:
        """Note a length that is too long before anything is read."""
        self._is_too_long = content_length.isascii() and content_length.isdigit() and int(content_length[:20]) > self._limit

    async def __call__(self) -> Message:
        """Raises: HTTPException: the body is too long. (FastAPI passes this error on.)"""
        message = await self._receive() if not self._is_too_long else None
        self._size += len(message.get("body", b"")) if message is not None else 0
        if message is None or self._size > self._limit:
            self._is_too_long = True
            raise HTTPException(413, f"the body is longer than {self._limit:,} bytes (body_size)")
        return message

    async def discard(self) -> None:
        """Read the rest of a body that is too long: most clients read the response only after they have sent all of it."""
        if not self._is_too_long:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS_FOR_ERROR):
                while (await self._receive()).get("more_body", False):
                    pass


class _Response:
    """Passes a response on, and records its status."""

    def __init__(self, send: Send) -> None:
        self.status: int | None = None
        self._send, self._is_stream, self._has_ended = send, False, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._is_stream = Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")
        elif message["type"] == "http.response.body":
            self._has_ended = not message.get("more_body", False)
        await self._send(message)

    async def end(self, error: APIError) -> None:
        """End the response with an error, as a whole or as the last event of a stream."""
        if self.status is None:
            await error.send(self)
        elif not self._has_ended:
            body = event(error.content()) if self._is_stream else b""
            await self({"type": "http.response.body", "body": body, "more_body": False})
