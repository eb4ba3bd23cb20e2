"""Server-sent events, and clients that leave before they have an answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, TypeVar

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gptkit_serve.errors import api_error
from gptkit_serve.service import Answers

Result = TypeVar("Result")

DONE = b"data: [DONE]\n\n"


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class ClientLeftError(Exception):
    """The client has closed the connection, so nobody reads the answer."""


def event(content: Any, name: str | None = None) -> bytes:
    """Return a server-sent event with a value as JSON."""
    data = f"data: {_encode(content)}\n\n"
    return (data if name is None else f"event: {name}\n{data}").encode()


class ChoiceEvents:
    """Server-sent events of a stream that differ in `choices` alone. The rest of their JSON is built once."""

    def __init__(self, head: Mapping[str, Any], tail: Mapping[str, Any]) -> None:
        """
        Args:
            head: the fields before `choices`, at least one.
            tail: the fields after `choices`.
        """
        self._head = f'data: {_encode(head)[:-1]},"choices":['
        self._tail = f"],{_encode(tail)[1:]}\n\n" if tail else "]}\n\n"

    def event(self, choice: Mapping[str, Any]) -> bytes:
        """Return the event of a choice."""
        return f"{self._head}{_encode(choice)}{self._tail}".encode()


async def unless_client_leaves(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """Return the result of `work`, which is cancelled if the client closes the connection.

    Raises:
        ClientLeftError: the client has closed the connection.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_wait_for_disconnect(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientLeftError
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(StreamingResponse):
    """A stream of events about the answers of a job, which are cancelled if the client leaves."""

    media_type = "text/event-stream"

    def __init__(self, answers: Answers | None, events: AsyncIterator[bytes]) -> None:
        """
        Args:
            answers: the texts that the events are about; None: nothing is generated.
            events: the events. An error becomes the last one.
        """
        super().__init__(_until_error(events), headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await unless_client_leaves(receive, self.stream_response(send))
        finally:
            if self._answers is not None:
                self._answers.close()


async def _until_error(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        async for each in events:
            yield each
    except Exception as error:
        yield event(api_error(error).content())
