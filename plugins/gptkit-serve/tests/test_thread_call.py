"""A call in a thread of its own returns, fails and is left as a call in the main thread would be."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from gptkit_serve.thread_call import call_in_thread

from gptkit.errors import ConfigError


def test_result_and_errors_are_those_of_the_function() -> None:
    assert call_in_thread(lambda: threading.current_thread()) is not threading.main_thread()
    with pytest.raises(ConfigError, match="no such key"):
        call_in_thread(_fail)


def _fail() -> str:
    raise ConfigError("no such key")


def test_ctrl_c_does_not_wait_for_the_call() -> None:
    release = threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        pressed = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        pressed.start()
        with pytest.raises(KeyboardInterrupt):
            call_in_thread(release.wait)
        pressed.join()
    finally:
        signal.signal(signal.SIGINT, before)
        release.set()
