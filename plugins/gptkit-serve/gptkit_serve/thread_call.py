"""A call in a thread of its own, which ends with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def call_in_thread(function: Callable[[], Result]) -> Result:
    """Call a function in a new thread, and return its result, or raise its error. Ctrl-C does not wait for it."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=run, name="gptkit call", daemon=True)
    thread.start()
    result = future.result()
    thread.join()
    return result
