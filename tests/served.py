"""The API as a server of its own, in a thread of the tests, for as long as a block lasts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from infra.endpoints import Endpoints
from infra.serving import make_services
from infra.settings import Settings
from serving.api.app import create_app

__all__ = ["served"]

START_S = 20


@contextmanager
def served(settings: Settings, endpoints: Endpoints) -> Iterator[str]:
    """The address of an API over this stack."""
    app = create_app(make_services(settings, endpoints))
    config = uvicorn.Config(app, port=0, log_level="warning", access_log=False, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_S
    while not server.started:
        assert thread.is_alive(), "the API ended while it started"
        assert time.monotonic() < deadline, "the API did not start in time"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(START_S)
