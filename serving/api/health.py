"""`/healthz`: this process answers. `/readyz`: so do the stores. `/metrics`: for Prometheus."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from serving.api.services import Services, services_of

__all__ = ["router"]

router = APIRouter(tags=["operations"])
Uses = Annotated[Services, Depends(services_of)]
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Whether this process answers."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    responses={
        200: {"content": {"application/json": {"example": {"ready": True, "parts": {}}}}},
        503: {"description": "Some part is down; `parts` says which."},
    },
)
async def readyz(uses: Uses) -> JSONResponse:
    """Whether everything that requests need answers, and which part does not."""
    found = await asyncio.gather(*(probe() for probe in uses.probes.values()))
    named = zip(uses.probes, found, strict=True)
    parts = {name: "up" if is_up else "down" for name, is_up in named}
    is_ready = all(found)
    return JSONResponse({"ready": is_ready, "parts": parts}, 200 if is_ready else 503)


@router.get("/metrics", response_class=Response)
async def metrics(uses: Uses) -> Response:
    """What this process has counted; with several workers, one of them."""
    uses.metrics.put("userflow_api_store_up", float(uses.postgres.is_up), "postgres")
    if uses.link:
        uses.metrics.put("userflow_api_store_up", float(uses.link.is_up), "redis")
    return Response(uses.metrics.exposition(), media_type=EXPOSITION)
