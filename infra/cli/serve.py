"""`userflow serve`: the HTTP API."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import click

from infra.api_keys import ensure_local_key
from infra.endpoints import Endpoints
from infra.logs import configure_logs
from infra.settings import Settings, load_settings
from infra.signals import handled
from infra.stack.ports import LOOPBACK
from infra.web_service import WebService

__all__ = ["serve"]

FROM_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
ENDING_S = 5


@click.command()
@click.option("--port", type=click.IntRange(1, 65_535), help="A free one when left out.")
@click.option("--host", help="Address to listen on.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that answer; each has its own metrics and its own rate limits.",
)
@click.option("--background", is_flag=True, help="Return once it answers; `userflow down` ends it.")
@click.option("--samples", is_flag=True, help="With pages to try it on: /samples/shop.")
def serve(
    *, port: int | None, host: str | None, workers: int, background: bool, samples: bool
) -> None:
    """Serve the HTTP API until Ctrl-C or SIGTERM; requests that run are finished.

    Its address stands in endpoints.json for as long as it serves, beside a key for it.
    """
    if samples:  # as a setting: the processes that answer read theirs themselves
        os.environ["USERFLOW_SAMPLES"] = "true"
    settings = load_settings()
    _check_model(settings)
    ensure_local_key(settings.home)
    port, host = port or settings.api_port, host or settings.api_host
    if background:
        click.echo(f"{WebService(settings, 'api').up(port)}/docs")
        return
    _serve(settings, host, port, workers)


def _check_model(settings: Settings) -> None:
    """Say what is wrong with it here, in one sentence, and not in each process that answers."""
    if settings.ranker_model is not None:
        from infra.recommending import arms_of  # noqa: PLC0415 - others need no model

        arms_of(settings)


def _serve(settings: Settings, host: str, wanted: int | None, workers: int) -> None:
    import uvicorn  # noqa: PLC0415 - other commands should not wait for it

    configure_logs(settings.log_level)
    Endpoints.read(settings.home)
    service = WebService(settings, "api")
    port = service.choose_port(wanted)
    url = f"http://{LOOPBACK if host in FROM_ANYWHERE else host}:{port}"
    with _ended_by_sigterm(), service.announced(url):
        click.echo(f"{url}/docs", err=True)
        if settings.samples:
            click.echo(f"{url}/samples/shop", err=True)
        uvicorn.run(
            "infra.serving:app",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            loop="uvloop",
            http="httptools",
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=ENDING_S,
        )


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Uvicorn finishes what runs, and then passes the signal on: it is no failure."""
    with (
        contextlib.suppress(KeyboardInterrupt),
        handled(signal.default_int_handler, signal.SIGTERM),
    ):
        yield
