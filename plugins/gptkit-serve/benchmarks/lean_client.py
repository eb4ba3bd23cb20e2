"""A client of `/v1/completions` that costs little time, so that a benchmark on the same machine measures the server."""

from __future__ import annotations

import asyncio
import json
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Self
from urllib.parse import urlsplit

END_OF_CHUNKS = b"\r\n0\r\n\r\n"


@dataclass
class Streamed:
    """An answer, and when its parts arrived, in seconds."""

    sent: float
    text: str = ""
    times: list[float] = field(default_factory=list)
    """When each event with text arrived."""
    tokens: int = 0

    @property
    def seconds_to_first_token(self) -> float:
        return self.times[0] - self.sent

    @property
    def gaps(self) -> list[float]:
        return [after - before for before, after in zip(self.times, self.times[1:], strict=False)]


class LeanClient(asyncio.Protocol):
    """One connection, which is kept open. Sends one request at a time. What arrives is only stored, and read at the end."""

    _transport: asyncio.Transport
    _times: list[float]
    _parts: list[bytes]
    _length: int | None
    _missing: int
    _last: bytes

    def __init__(self, model: str) -> None:
        self._model = model
        self._complete: asyncio.Future[None] | None = None
        self._begin_response()

    @classmethod
    async def connect(cls, url: str, model: str) -> Self:
        address = urlsplit(url)
        assert address.hostname is not None and address.port is not None
        _, client = await asyncio.get_running_loop().create_connection(lambda: cls(model), address.hostname, address.port)
        return client

    async def stream(self, prompt: list[int], *, sent: float | None = None, **settings: Any) -> Streamed:
        """Return the answer to a prompt. `sent` is when the request was due; None: now."""
        answer = Streamed(time.perf_counter() if sent is None else sent)
        await self._send({"prompt": prompt, "stream": True, "stream_options": {"include_usage": True}, **settings})
        for arrived, body in self._chunks():
            for event in body.removesuffix(b"\n\n").split(b"\n\n"):
                if event == b"data: [DONE]":
                    continue
                content = json.loads(event.removeprefix(b"data: "))
                if "error" in content:
                    raise RuntimeError(content["error"]["message"])
                if content["choices"] and content["choices"][0]["text"]:
                    answer.text += content["choices"][0]["text"]
                    answer.times.append(arrived)
                if content["usage"]:
                    answer.tokens = content["usage"]["completion_tokens"]
        return answer

    async def complete(self, prompt: list[int], **settings: Any) -> Streamed:
        """Return the answer to a prompt, which arrives at once."""
        answer = Streamed(time.perf_counter())
        await self._send({"prompt": prompt, **settings})
        ((arrived, body),) = self._chunks()
        content = json.loads(body)
        answer.times.append(arrived)
        answer.text, answer.tokens = content["choices"][0]["text"], content["usage"]["completion_tokens"]
        return answer

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._times.append(time.perf_counter())
        self._parts.append(data)
        if self._length is None:
            head, separator, body = b"".join(self._parts).partition(b"\r\n\r\n")
            if not separator:
                return
            self._length = content_length(head)
            self._missing = self._length - len(body)
        else:
            self._missing -= len(data)
        self._last = (self._last + data)[-len(END_OF_CHUNKS) :]
        is_complete = self._last == END_OF_CHUNKS if self._length < 0 else self._missing <= 0
        if is_complete and self._complete is not None and not self._complete.done():
            self._complete.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if self._complete is not None and not self._complete.done():
            self._complete.set_exception(error or ConnectionError("the server has closed the connection"))

    def _begin_response(self) -> None:
        self._times, self._parts = [], []
        self._length, self._missing, self._last = None, 0, b""

    async def _send(self, body: dict[str, Any]) -> None:
        """Send a request, and wait for the whole response."""
        if self._transport.is_closing():
            raise ConnectionError("the server has closed the connection")
        self._begin_response()
        self._complete = asyncio.get_running_loop().create_future()
        content = json.dumps({"model": self._model, **body}).encode()
        head = (
            f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
        )
        self._transport.write(f"{head}\r\n\r\n".encode() + content)
        await self._complete

    def _chunks(self) -> Iterator[tuple[float, bytes]]:
        """Yield the chunks of the body, and when each was complete."""
        response = b"".join(self._parts)
        ends = list(accumulate(map(len, self._parts)))
        place = response.index(b"\r\n\r\n") + 4
        status = response.split(b"\r\n", 1)[0].decode()
        assert self._length is not None
        if self._length >= 0:
            if status.split()[1] != "200":
                raise RuntimeError(f"{status}: {response[place:].decode()}")
            yield self._times[-1], response[place:]
            return
        while size := int(response[place : (begin := response.index(b"\r\n", place) + 2)], 16):
            place = begin + size + 2
            yield self._times[bisect_left(ends, place)], response[begin : place - 2]


def content_length(head: bytes) -> int:
    """Return the length of the body from the head of a response; -1: the body is sent in chunks."""
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    return int(fields.get(b"content-length", -1))
