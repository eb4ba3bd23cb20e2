"""Metrics of the server in Prometheus's format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import Scope

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter("gptkit_requests", "Requests by path and status.", ("path", "status"), registry=registry)
        self.running_requests = Gauge("gptkit_running_requests", "Requests that are being answered.", registry=registry)
        self.texts = Gauge("gptkit_texts", "Texts that are being generated or wait for their turn.", registry=registry)
        self.prompt_tokens = Counter("gptkit_prompt_tokens", "Tokens of prompts.", registry=registry)
        self.generated_tokens = Counter("gptkit_generated_tokens", "Tokens of complete texts.", registry=registry)
        self.time_to_first_chunk = Histogram(
            "gptkit_time_to_first_chunk_seconds",
            "Seconds until the first text of an answer, or the whole one without a stream.",
            buckets=SECONDS,
            registry=registry,
        )
        self.request_seconds = Histogram(
            "gptkit_request_seconds", "Seconds of requests.", ("path",), buckets=SECONDS, registry=registry
        )

    def count(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request. Paths that do not exist are one, so that their number is limited."""
        route = scope.get("route")
        path = getattr(route, "path", "other")
        self.requests.labels(path, status).inc()
        self.request_seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        content: bytes = generate_latest(self._registry)
        return content
