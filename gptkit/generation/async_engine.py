"""The engine for servers: it decodes in a thread of its own, and asyncio tasks receive the chunks of their texts."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import queue
import threading
from collections.abc import AsyncIterator, Callable, Sequence
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
        self._streams: dict[TextSequence, Generation] = {}
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

    def start(self, texts: Sequence[TextSequence]) -> Generation:
        """Start to generate texts, which are read together.

        Raises:
            EngineStoppedError: the engine is stopping, or an error has ended it.
        """
        if self._is_stopping or self._failure is not None:
            raise EngineStoppedError("the engine has stopped" if self._failure is None else f"the engine failed: {self._failure}")
        generation = Generation(self, texts)
        self._streams.update(dict.fromkeys(texts, generation))
        self.idle.clear()
        self._orders.put(functools.partial(self._add, texts))
        return generation

    async def generate(self, text: TextSequence) -> AsyncIterator[TextChunk]:
        """Yield the chunks of a text; the last one contains the whole continuation. Closing the iterator cancels the text.

        Raises:
            EngineStoppedError: the engine is stopping, or an error has ended it.
        """
        generation = self.start([text])
        try:
            async for chunks in generation:
                for _, chunk in chunks:
                    yield chunk
        finally:
            generation.close()

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

    def _add(self, texts: Sequence[TextSequence]) -> None:
        for text in texts:
            self._engine.add(text)

    def _cancel(self, texts: Sequence[TextSequence]) -> None:
        for text in texts:
            self._engine.cancel(text)

    def _deliver(self, chunks: list[tuple[TextSequence, TextChunk]]) -> None:
        for text, chunk in chunks:
            generation = self._streams.get(text)
            if generation is None:  # the client has left
                continue
            if chunk.finished is not None:
                self._forget(text)
            generation.put(text, chunk)

    def _fail(self, error: BaseException) -> None:
        for generation in set(self._streams.values()):
            generation.fail(error)

    def cancel(self, texts: Sequence[TextSequence]) -> None:
        """Cancel those of the texts that are not complete."""
        running = [text for text in texts if text in self._streams]
        if running:
            self._orders.put(functools.partial(self._cancel, running))
        for text in running:
            self._forget(text)

    def _forget(self, text: TextSequence) -> None:
        del self._streams[text]
        if not self._streams:
            self.idle.set()


class Generation:
    """Texts that are being generated: an asynchronous iterator over their chunks, each with its text.

    All chunks that have come since the last ones are returned together, so that a reader that is slow, or that reads many texts,
    takes one turn for all of them.
    """

    def __init__(self, engine: AsyncEngine, texts: Sequence[TextSequence]) -> None:
        self._engine, self._texts, self._remaining = engine, texts, len(texts)
        self._chunks: list[tuple[TextSequence, TextChunk]] = []
        self._failure: BaseException | None = None
        self._has_news = asyncio.Event()

    def __aiter__(self) -> Generation:
        return self

    async def __anext__(self) -> list[tuple[TextSequence, TextChunk]]:
        """Raises: EngineStoppedError: an error has ended the engine."""
        if not self._remaining:
            raise StopAsyncIteration
        await self._has_news.wait()
        if not self._chunks:
            raise EngineStoppedError(f"the engine failed: {self._failure}") from self._failure
        chunks, self._chunks = self._chunks, []
        if self._failure is None:
            self._has_news.clear()
        self._remaining -= sum(chunk.finished is not None for _, chunk in chunks)
        return chunks

    def close(self) -> None:
        """Cancel the texts that are not complete. Must be called unless all chunks were read."""
        self._engine.cancel(self._texts)

    def put(self, text: TextSequence, chunk: TextChunk) -> None:
        """Append a chunk."""
        self._chunks.append((text, chunk))
        self._has_news.set()

    def fail(self, error: BaseException) -> None:
        """End with an error, after the chunks that have come."""
        self._failure = error
        self._has_news.set()


def _set_unless_done(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
