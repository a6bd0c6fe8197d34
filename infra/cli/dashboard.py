"""`userflow dashboard`."""

from __future__ import annotations

import click

from infra.database import analyst_conninfo
from infra.endpoints import Endpoints
from infra.settings import Settings, load_settings
from infra.stack.ports import LOOPBACK

__all__ = ["dashboard"]


@click.command()
@click.option("--port", type=click.IntRange(1, 65_535), help="A free one when left out.")
@click.option("--background", is_flag=True, help="Return when it answers; `down` stops it.")
def dashboard(*, port: int | None, background: bool) -> None:
    """Show live what the streams do, in a browser, until Ctrl-C or SIGTERM.

    It listens on this machine only, and reads as a role that sees no personal data.
    """
    from infra.web_service import WebService  # noqa: PLC0415 - other commands need none

    settings = load_settings()
    service = WebService(settings, "dashboard")
    if background:
        click.echo(f"Dashboard: {service.up(port)}")
        return
    _serve(settings, service.choose_port(port))


def _serve(settings: Settings, port: int) -> None:
    from infra.stream_metrics import FOLDER  # noqa: PLC0415
    from infra.web_service import WebService  # noqa: PLC0415
    from serving.dashboard.server import serve  # noqa: PLC0415 - Streamlit takes a second
    from serving.dashboard.sources import Sources  # noqa: PLC0415

    endpoints = Endpoints.read(settings.home)
    sources = Sources(
        kafka=endpoints.kafka,
        postgres=analyst_conninfo(endpoints.postgres),
        streams=settings.home / FOLDER,
    )
    url = f"http://{LOOPBACK}:{port}"
    with WebService(settings, "dashboard").announced(url):
        click.echo(f"Dashboard: {url}")
        serve(sources, host=LOOPBACK, port=port)
