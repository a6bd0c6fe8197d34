"""The streams as a process that outlives its command, started again when it dies.

Supervised like the services that it needs: `userflow down` ends it before them, and it finishes the
epoch that runs.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from infra.endpoints import Endpoints
from infra.settings import Settings
from infra.stack.supervisor import Service
from infra.stream_status import living_streams

__all__ = ["StreamService"]

ROOT = Path(__file__).resolve().parents[1]
ENDING_S = 60


class StreamService:
    """The one of a home."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def up(self, jobs: str) -> None:
        """Start it, unless a stream of this home runs, and return when it has begun.

        Raises `ServiceError`.
        """
        Endpoints.read(self._settings.home)  # nothing can be read before there is a stack
        if living_streams(self._settings.home):
            return
        from infra.airflow_stack.config import write_settings  # noqa: PLC0415 - for `down`

        write_settings(self._folder, self._settings)
        self._service(jobs).start(2 * self._settings.start_timeout)

    def down(self) -> None:
        """Stop it; nothing to do when none runs in the background."""
        if self._folder.exists():
            self._service("").stop(ENDING_S)

    @property
    def _folder(self) -> Path:
        return self._settings.home / "services" / "stream"

    def _service(self, jobs: str) -> Service:
        java = {name: os.environ[name] for name in ("JAVA_HOME",) if name in os.environ}
        options = ("stream", "--supervise", "--jobs", jobs)
        return Service(
            name="stream",
            directory=self._folder,
            # `-P` keeps the working directory off the path.
            command=(sys.executable, "-P", "-m", "infra", *options),
            environment={"PYTHONPATH": str(ROOT), **java},
            probe=self._probe,
        )

    def _probe(self) -> str | None:
        return None if living_streams(self._settings.home) else "no stream has begun"
