"""A client of `/v1/completions` that costs little time, so that a benchmark on the same machine measures the server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit


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


class LeanClient:
    """One connection, which is kept open. Sends one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, model: str) -> None:
        self._reader, self._writer, self._model = reader, writer, model

    @classmethod
    async def connect(cls, url: str, model: str) -> Self:
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port), model)

    async def stream(self, prompt: list[int], *, sent: float | None = None, **settings: Any) -> Streamed:
        """Return the answer to a prompt. `sent` is when the request was due; None: now."""
        answer = Streamed(time.perf_counter() if sent is None else sent)
        body = {"model": self._model, "prompt": prompt, "stream": True, "stream_options": {"include_usage": True}, **settings}
        await self._send(body)
        buffered = b""
        async for part in self._body():
            buffered += part
            *events, buffered = buffered.split(b"\n\n")
            now = time.perf_counter()
            for event in events:
                if event == b"data: [DONE]":
                    continue
                content = json.loads(event.removeprefix(b"data: "))
                if "error" in content:
                    raise RuntimeError(content["error"]["message"])
                if content["choices"] and content["choices"][0]["text"]:
                    answer.text += content["choices"][0]["text"]
                    answer.times.append(now)
                if content["usage"]:
                    answer.tokens = content["usage"]["completion_tokens"]
        return answer

    async def complete(self, prompt: list[int], **settings: Any) -> Streamed:
        """Return the answer to a prompt, which arrives at once."""
        answer = Streamed(time.perf_counter())
        await self._send({"model": self._model, "prompt": prompt, **settings})
        content = json.loads(b"".join([part async for part in self._body()]))
        answer.times.append(time.perf_counter())
        answer.text, answer.tokens = content["choices"][0]["text"], content["usage"]["completion_tokens"]
        return answer

    def close(self) -> None:
        self._writer.close()

    async def _send(self, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        head = (
            f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
        )
        self._writer.write(f"{head}\r\n\r\n".encode() + content)
        await self._writer.drain()

    async def _body(self) -> AsyncIterator[bytes]:
        """Yield the parts of the body of a response."""
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "content-length" in headers:
            content = await self._reader.readexactly(int(headers["content-length"]))
            if status.split()[1] != "200":
                raise RuntimeError(f"{status}: {content.decode()}")
            yield content
            return
        while size := int(await self._reader.readline(), 16):
            yield (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readline()
