"""`/health` and `/metrics`, for those who operate the server."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from gptkit_serve.routes.parts import CurrentService

router = APIRouter()


@router.get("/health", response_model=None)
async def health(service: CurrentService) -> Response:
    """Say whether the engine accepts texts: status 200, or 503. Needs no key."""
    is_alive = service.engine.failure is None
    return JSONResponse({"status": "ok" if is_alive else "failed"}, status_code=200 if is_alive else 503)


@router.get("/metrics", response_model=None)
async def metrics(service: CurrentService) -> Response:
    """Return metrics in Prometheus's text format."""
    service.metrics.texts.set(service.engine.texts)
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)
