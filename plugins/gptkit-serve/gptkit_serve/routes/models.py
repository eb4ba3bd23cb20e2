"""`/v1/models`: the model that is served."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from gptkit_serve.routes.parts import CurrentService
from gptkit_serve.service import Service

router = APIRouter()


@router.get("/v1/models")
async def list_models(service: CurrentService) -> dict[str, Any]:
    """List the model."""
    return {"object": "list", "data": [_entry(service)]}


@router.get("/v1/models/{name:path}")
async def retrieve_model(name: str, service: CurrentService) -> dict[str, Any]:
    """Describe the model."""
    service.served.check_name(name)
    return _entry(service)


def _entry(service: Service) -> dict[str, Any]:
    served = service.served
    return {
        "id": served.name,
        "object": "model",
        "created": service.created,
        "owned_by": "gptkit",
        "max_model_len": served.context,
    }
