"""What we serve over HTTP ourselves (API, dashboard) as a process that outlives its command.

The process that serves is the same in the foreground: it says in `endpoints.json` where it is for
as long as it lives. Started in the background, it is supervised like the services below it, stops
with `userflow down`, before them, and keeps its port from start to start.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from infra.endpoints import Endpoints
from infra.errors import PortTaken, ServiceError
from infra.settings import Settings
from infra.stack.ports import LOOPBACK, Ports, is_free
from infra.stack.stack import Health
from infra.stack.supervisor import Service

__all__ = ["WEB_SERVICES", "WebService", "web_services"]

ROOT = Path(__file__).resolve().parents[1]
LOCK_S = 180
PROBE_S = 2.0
# What it is called in `endpoints.json` -> its command, and a path that answers 200 once it is up.
WEB_SERVICES = {
    "api": ("serve", "/healthz"),
    "dashboard": ("dashboard", "/_stcore/health"),
}


class WebService:
    """One of them, in one home."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._command, self._path = WEB_SERVICES[name]
        self._ports = Ports(settings.home / "services" / "ports.json")

    def up(self, port: int | None) -> str:
        """Start it in the background unless it runs there, and return its address when it answers.

        Raises `PortTaken`, `ServiceError`.
        """
        Endpoints.read(self._settings.home)  # nothing can be served before there is a stack
        if self._service().pid() is None:
            from infra.airflow_stack.config import write_settings  # noqa: PLC0415 - for `status`

            self.choose_port(port)
            write_settings(self._folder, self._settings)
        elif port not in (None, self._ports.known(self._name)):
            raise ServiceError(f"It runs already, at {self.url}: run `userflow down` first.")
        self._service().start(2 * self._settings.start_timeout)
        return self.url

    def down(self) -> None:
        """Stop the one in the background; nothing to do when none runs."""
        if self._folder.exists():
            self._service().stop()

    def status(self) -> dict[str, Health]:
        """How the one in the background is; empty when none was started."""
        service = self._service()
        if not service.pid_file.exists():
            return {}
        pid = service.pid()
        running = pid is not None and service.probe() is None
        address = self.url.removeprefix("http://")
        return {self._name: Health(pid=pid, running=running, address=address, external=False)}

    @property
    def url(self) -> str:
        """Where it is since it was last started."""
        return f"http://{LOOPBACK}:{self._ports.known(self._name) or 0}"

    def choose_port(self, wanted: int | None) -> int:
        """The port to serve on: a free one, or that of the last start, when None is wanted.

        Raises `PortTaken`, and `ServiceError` where the one in the background has it.
        """
        running = self._service().pid()
        if running not in (None, os.getpid()) and wanted in (None, self._ports.known(self._name)):
            raise ServiceError(
                f"It runs in the background already, at {self.url}: open that, give another "
                "--port, or run `userflow down` first."
            )
        if wanted is not None and not is_free(wanted):
            raise PortTaken(
                f"Port {wanted} is taken by another program: free it, or leave --port out to get "
                "a free one."
            )
        if running not in (None, os.getpid()) and wanted is not None:
            return wanted  # beside the other one, which keeps its place in the files
        return self._ports.choose(self._name, wanted)

    @contextmanager
    def announced(self, url: str) -> Iterator[None]:
        """Say in `endpoints.json` where this process serves, for as long as the block runs."""
        self._announce(url)
        try:
            yield
        finally:
            if getattr(Endpoints.read(self._settings.home), self._name) == url:
                self._announce(None)

    def _announce(self, url: str | None) -> None:
        home = self._settings.home
        # `up` writes the file under the same lock.
        with FileLock(home / "services" / "lock", timeout=LOCK_S):
            replace(Endpoints.read(home), **{self._name: url}).write(home)  # type: ignore[arg-type]

    @property
    def _folder(self) -> Path:
        return self._settings.home / "services" / self._name

    def _service(self) -> Service:
        port = str(self._ports.known(self._name) or 0)
        return Service(
            name=self._name,
            directory=self._folder,
            # `-P` keeps the working directory off the path.
            command=(sys.executable, "-P", "-m", "infra", self._command, "--port", port),
            environment={"PYTHONPATH": str(ROOT)},
            probe=self._probe,
        )

    def _probe(self) -> str | None:
        import httpx  # noqa: PLC0415 - `status` counts its milliseconds

        try:
            with httpx.Client(timeout=PROBE_S, trust_env=False) as client:
                answer = client.get(f"{self.url}{self._path}")
        except httpx.HTTPError as error:
            return type(error).__name__
        return None if answer.is_success else f"HTTP {answer.status_code}"


def web_services(settings: Settings) -> list[WebService]:
    """All of them."""
    return [WebService(settings, name) for name in WEB_SERVICES]
