"""The application: endpoints behind the gateway, and an engine that lives as long as the application."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from gptkit.generation.async_engine import AsyncEngine
from gptkit.generation.engine import Engine
from gptkit.generation.prefill import PrefixCache
from gptkit_serve import ServeCommand
from gptkit_serve.access import Access
from gptkit_serve.errors import install_handlers
from gptkit_serve.gateway import Gateway
from gptkit_serve.limits import ClientLimits
from gptkit_serve.metrics import Metrics
from gptkit_serve.openapi import describe
from gptkit_serve.receipt_writer import ReceiptWriter
from gptkit_serve.routes import chat, completions, health, models, responses, tokens
from gptkit_serve.served_model import ServedModel
from gptkit_serve.service import Service


def make_app(served: ServedModel, settings: ServeCommand, keys: list[str], *, receipts: ReceiptWriter | None = None) -> FastAPI:
    """Return the application that serves a model.

    Args:
        served: the model.
        settings: limits and origins.
        keys: the API keys that are accepted; empty: none is needed.
        receipts: writes the receipts of the answers, and is closed with the application; None: there are none.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = AsyncEngine(
            Engine(
                served.model,
                served.tokenizer,
                batch=settings.batch,
                chunked_prefill=True,
                prefixes=PrefixCache(),
            )
        )
        app.state.service = service = Service(served, engine, metrics, capacity=settings.batch + settings.queue)
        if receipts is not None:
            service.on_ended.append(lambda job, text, reason: receipts.write(job.id, text, reason))
        yield
        await engine.stop(grace=0)  # the web server has waited for the requests
        if receipts is not None:
            await asyncio.to_thread(receipts.close)

    app = FastAPI(
        title="gptkit",
        lifespan=lifespan,
        docs_url=None,  # they would be loaded from another server
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # /metrics has the server's own
    )
    for module in (chat, completions, responses, models, tokens, health):
        app.include_router(module.router)
    install_handlers(app)
    app.openapi = functools.cache(functools.partial(describe, app))  # type: ignore[method-assign]
    app.add_middleware(
        Gateway,
        access=Access(keys),
        limits=ClientLimits(requests_per_minute=settings.requests_per_minute, concurrent_requests=settings.concurrent_requests),
        metrics=metrics,
        timeout=settings.timeout,
        body_size=settings.body_size,
    )
    if settings.cors:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors, allow_methods=["GET", "POST"], allow_headers=["*"], max_age=3600
        )
    return app
