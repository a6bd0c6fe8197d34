"""The app: the routers of all rooms, and errors as answers.

A room plugs in with one line in `ROUTERS`; what its handlers use is in `Services`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException

from serving.api import collect, feast, features, health, recommend, replay, samples
from serving.api.answers import invalid, not_routed, refused_request
from serving.api.bounded import Bounded
from serving.api.observed import Observed, access_log
from serving.api.services import Services
from serving.errors import ServingError

__all__ = ["ROUTERS", "create_app"]

ROUTERS: tuple[APIRouter, ...] = (
    features.router,  # first, since routes are tried in their order
    health.router,
    collect.router,
    feast.router,
    recommend.router,
    replay.router,
    samples.router,
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
        description="A key of `userflow keys create` opens the calls below `/v1`: `Authorization: "
        'Bearer …`. Every answer that is no success is `{"error": {"code", "message", …}}`.',
        version=version("userflow"),
        redirect_slashes=False,
        redoc_url=None,
    )
    app.state.services = services
    app.add_exception_handler(ServingError, refused_request)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, not_routed)
    chosen = services.settings
    larger = {"/v1/events": collect.MAX_BODY_BYTES}
    app.add_middleware(Bounded, most=chosen.max_body_bytes, larger=larger)
    _allow_origins(app, chosen.cors_origins)
    # The last one is the outermost.
    log = access_log() if chosen.access_log else None
    app.add_middleware(Observed, metrics=services.metrics, log=log)
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
