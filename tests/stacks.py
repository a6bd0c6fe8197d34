"""A running stack for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.endpoints import Endpoints
from infra.initialise import initialise
from infra.settings import Settings
from infra.stack.stack import Stack

__all__ = ["running", "settings_for"]


def settings_for(home: Path) -> Settings:
    """Settings of an embedded stack, whatever the developer's own environment says."""
    return Settings(home=home, lake="", kafka=None, postgres=None, redis=None, start_timeout=120)


@contextmanager
def running(home: Path) -> Iterator[Endpoints]:
    """Kafka, PostgreSQL and Redis, running and initialised."""
    settings = settings_for(home)
    services = Stack(settings)
    try:
        endpoints = services.up()
        initialise(endpoints, settings, services.credentials)
        yield endpoints
    finally:
        services.down()
