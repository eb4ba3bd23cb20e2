"""The engine for servers: it decodes in a thread of its own, and asyncio tasks receive the chunks of their texts."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

from gptkit.errors import GptkitError
from gptkit.generation.engine import Engine
from gptkit.generation.text_sequence import TextChunk, TextSequence


class EngineStoppedError(GptkitError):
    """The engine no longer accepts texts."""


class AsyncEngine:
    """Runs an `Engine` in a thread. All methods except for `join` are called in one event loop.

    The thread alone touches the engine: other threads leave orders in a queue, which it carries out between two steps.
    """

    def __init__(self, engine: Engine) -> None:
        """Start the thread."""
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._streams: dict[TextSequence, asyncio.Queue[TextChunk | BaseException]] = {}
        self._is_stopping = False
        self._failure: BaseException | None = None
        self.idle = asyncio.Event()
        """Set while no text is being generated."""
        self.idle.set()
        self._thread = threading.Thread(target=self._run, name="gptkit engine", daemon=True)
        self._thread.start()

    @property
    def texts(self) -> int:
        """The number of texts that are being generated or wait."""
        return len(self._streams)

    @property
    def failure(self) -> BaseException | None:
        """The error that ended the thread, if any."""
        return self._failure

    async def generate(self, text: TextSequence) -> AsyncIterator[TextChunk]:
        """Yield the chunks of a text; the last one contains the whole continuation. Closing the iterator cancels the text.

        Raises:
            EngineStoppedError: the engine is stopping, or an error has ended it.
        """
        if self._is_stopping or self._failure is not None:
            raise EngineStoppedError("the engine has stopped" if self._failure is None else f"the engine failed: {self._failure}")
        stream: asyncio.Queue[TextChunk | BaseException] = asyncio.Queue()
        self._streams[text] = stream
        self.idle.clear()
        self._orders.put(lambda: self._engine.add(text))
        is_finished = False
        try:
            while not is_finished:
                chunk = await stream.get()
                if isinstance(chunk, BaseException):
                    is_finished = True
                    raise EngineStoppedError(f"the engine failed: {chunk}") from chunk
                is_finished = chunk.finished is not None
                yield chunk
        finally:
            del self._streams[text]
            if not is_finished:
                self._orders.put(lambda: self._engine.cancel(text))
            if not self._streams:
                self.idle.set()

    async def call(self, function: Callable[[], Any]) -> Any:
        """Call a function in the engine's thread, between two steps, and return its result: work that uses the model."""
        if self._is_stopping or self._failure is not None:
            raise EngineStoppedError("the engine has stopped")
        result: asyncio.Future[Any] = self._loop.create_future()

        def order() -> None:
            try:
                value = function()
            except BaseException as error:
                self._loop.call_soon_threadsafe(_set_unless_done, result, None, error)
            else:
                self._loop.call_soon_threadsafe(_set_unless_done, result, value, None)

        self._orders.put(order)
        return await result

    async def stop(self, grace: float) -> None:
        """Accept no more texts, wait up to `grace` seconds for those that are being generated, and end the thread."""
        self._is_stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self.idle.wait()
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            while self._carry_out_orders():
                chunks = self._engine.step()
                if chunks:
                    self._loop.call_soon_threadsafe(self._deliver, chunks)
        except BaseException as error:  # whatever it is, no client may wait forever
            self._failure = error
            with contextlib.suppress(RuntimeError):  # the loop is closed, and so is every client
                self._loop.call_soon_threadsafe(self._fail, error)
        finally:
            self._engine.close()

    def _carry_out_orders(self) -> bool:
        """Carry out all orders, after waiting for one if there is nothing to decode. Returns False if the thread shall end."""
        while True:
            try:
                order = self._orders.get(block=self._engine.is_idle)
            except queue.Empty:
                return True
            if order is None:
                return False
            order()

    def _deliver(self, chunks: list[tuple[TextSequence, TextChunk]]) -> None:
        for text, chunk in chunks:
            stream = self._streams.get(text)
            if stream is not None:  # else the client has left
                stream.put_nowait(chunk)

    def _fail(self, error: BaseException) -> None:
        for stream in self._streams.values():
            stream.put_nowait(error)


def _set_unless_done(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
