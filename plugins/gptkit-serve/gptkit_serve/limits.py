"""Limits per API key: requests per minute, and simultaneous requests."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from gptkit_serve.errors import APIError


class ClientLimits:
    """Counts the requests of each client."""

    def __init__(self, *, requests_per_minute: int, concurrent_requests: int) -> None:
        """
        Args:
            requests_per_minute, concurrent_requests: maximum numbers for each client; 0: no limit.
        """
        self._rate = RateLimitItemPerMinute(requests_per_minute) if requests_per_minute else None
        self._concurrent = concurrent_requests
        self._window = MovingWindowRateLimiter(MemoryStorage())
        self._running: Counter[str] = Counter()

    @contextmanager
    def admit(self, client: str) -> Iterator[None]:
        """Context of a request of a client.

        Raises:
            APIError: the client has sent too many requests.
        """
        if self._concurrent and self._running[client] >= self._concurrent:
            raise _too_many(f"{self._concurrent} requests of this key are running; wait until one of them is answered", 1)
        if self._rate is not None and not self._window.hit(self._rate, client):
            seconds = max(1, math.ceil(self._window.get_window_stats(self._rate, client).reset_time - time.time()))
            raise _too_many(f"this key has sent {self._rate.amount} requests within a minute; retry after {seconds} s", seconds)
        self._running[client] += 1
        try:
            yield
        finally:
            self._running[client] -= 1
            if not self._running[client]:
                del self._running[client]


def _too_many(message: str, seconds: int) -> APIError:
    return APIError(429, message, code="rate_limit_exceeded", headers={"Retry-After": str(seconds)})
