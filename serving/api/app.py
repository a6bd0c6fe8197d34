"""The app: the routers of all rooms, and errors as answers.

A room plugs in with one line in `ROUTERS`; what its handlers use is in `Services`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse

from serving.api import collect, feast, features, health, recommend
from serving.api.services import Services
from serving.errors import ServingError, Unprocessable

__all__ = ["ROUTERS", "create_app"]

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    features.router,
    collect.router,
    feast.router,
    recommend.router,
)


def create_app(services: Services) -> FastAPI:
    """An app over these services, which it starts and stops."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.start()
        yield
        await services.stop()

    app = FastAPI(
        title="userflow",
        summary="What readers and shoppers did just now, as features.",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.services = services
    app.add_exception_handler(ServingError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    _allow_origins(app, services.settings.cors_origins)
    for router in ROUTERS:
        app.include_router(router)
    return app


def _allow_origins(app: FastAPI, origins: tuple[str, ...]) -> None:
    """Let pages from elsewhere call: their keys are headers or in the address, never cookies."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
            expose_headers=["retry-after"],
            max_age=3600,
        )


async def _refused(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, ServingError):
        raise error
    return JSONResponse(error.to_json(), status_code=error.status, headers=error.headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    return await _refused(request, Unprocessable(f"{field}: {first['msg']}.", field=field))
