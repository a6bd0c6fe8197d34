"""`userflow serve`: the HTTP API."""

from __future__ import annotations

from dataclasses import replace

import click

from infra.endpoints import Endpoints
from infra.settings import load_settings
from infra.stack.ports import LOOPBACK, Ports

__all__ = ["serve"]


@click.command()
@click.option("--port", type=click.IntRange(1, 65_535), help="A free one when left out.")
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
def serve(*, port: int | None, host: str) -> None:
    """Serve the HTTP API until Ctrl-C or SIGTERM."""
    import uvicorn  # noqa: PLC0415 - other commands should not wait for it

    settings = load_settings()
    endpoints = Endpoints.read(settings.home)
    chosen = Ports(settings.home / "services" / "ports.json").choose("api", port)
    replace(endpoints, api=f"http://{host}:{chosen}").write(settings.home)
    uvicorn.run("infra.serving:app", factory=True, host=host, port=chosen, access_log=False)
