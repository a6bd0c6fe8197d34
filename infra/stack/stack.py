"""The three services of one home together: up, down, status.

Each is either embedded (a process of ours) or external (an address from the settings, only probed).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from infra.endpoints import ENDPOINTS_FILE, Endpoints
from infra.errors import ServiceError
from infra.settings import Settings
from infra.stack.credentials import Credentials
from infra.stack.kafka import kafka_service, prepare_kafka
from infra.stack.ports import LOOPBACK, Ports
from infra.stack.postgres import ensure_database, postgres_service, postgres_url, prepare_postgres
from infra.stack.probes import probe_kafka, probe_postgres, probe_redis
from infra.stack.redis import prepare_redis, redis_service, redis_url
from infra.stack.supervisor import Service

__all__ = ["SERVICES", "Health", "Stack"]

SERVICES = ("kafka", "postgres", "redis")
CONTROLLER = "kafka_controller"
PROBES = {"kafka": probe_kafka, "postgres": probe_postgres, "redis": probe_redis}
LOCK_SECONDS = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What `userflow status` tells of one service; the address never holds a password."""

    pid: int | None
    running: bool
    address: str | None
    external: bool

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return asdict(self)


class Stack:
    """The services of one home."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._directory = settings.home / "services"
        self._ports = Ports(self._directory / "ports.json")
        self.credentials = Credentials(self._directory / "secrets.json")

    def up(self) -> Endpoints:
        """Start what does not run, wait until all three answer, write the endpoints file."""
        with self._lock():
            self.credentials.ensure(["postgres", "redis"])
            self._check_external()
            embedded = [name for name in SERVICES if self._external(name) is None]
            starts = [self._plan(name) for name in embedded]
            with ThreadPoolExecutor(max_workers=len(SERVICES)) as pool:
                for future in [pool.submit(start) for start in starts]:
                    future.result()
            endpoints = self._endpoints()
            endpoints.write(self._settings.home)
        return endpoints

    def down(self) -> None:
        """Stop what runs: the writers' log first, the stores after it; the data stays."""
        if not self._directory.exists():
            return
        with self._lock():
            for name in SERVICES:
                if self._external(name) is None:
                    self._service(name).stop()

    def status(self) -> dict[str, Health]:
        """How each service is now; one that does not answer costs no more than its own patience."""
        with ThreadPoolExecutor(max_workers=len(SERVICES)) as pool:
            return dict(zip(SERVICES, pool.map(self._health, SERVICES), strict=True))

    def _health(self, name: str) -> Health:
        external = self._external(name)
        if external is not None:
            answers = PROBES[name](external) is None
            return Health(pid=None, running=answers, address=_host_port(external), external=True)
        service, port = self._service(name), self._ports.known(name)
        pid = service.pid()
        running = pid is not None and service.probe() is None
        address = f"{LOOPBACK}:{port}" if port else None
        return Health(pid=pid, running=running, address=address, external=False)

    def _external(self, name: str) -> str | None:
        address: str | None = getattr(self._settings, name)
        return address

    def _configured_port(self, name: str) -> int | None:
        port: int | None = getattr(self._settings, f"{name}_port", None)
        return port

    def _check_external(self) -> None:
        for name in SERVICES:
            address = self._external(name)
            reason = PROBES[name](address) if address else None
            if address and reason:
                raise ServiceError(
                    f"The external {name} at {_host_port(address)} does not answer ({reason}): "
                    f"look at USERFLOW_{name.upper()}, or unset it to use the embedded one."
                )

    def _plan(self, name: str) -> Callable[[], None]:
        """Choose the ports now, one service after another; what is returned may run in parallel."""
        timeout = self._settings.start_timeout
        if self._service(name).pid() is not None:
            self._check_port_of_running(name)
            return lambda: self._service(name).start(timeout)
        self._ports.choose(name, self._configured_port(name))
        if name == "kafka":
            self._ports.choose(CONTROLLER)
        return lambda: self._prepare_and_start(name, timeout)

    def _check_port_of_running(self, name: str) -> None:
        wanted, actual = self._configured_port(name), self._ports.known(name)
        if wanted is not None and wanted != actual:
            raise ServiceError(
                f"{name} runs on port {actual}, USERFLOW_{name.upper()}_PORT says {wanted}: "
                "run `userflow down` first."
            )

    def _prepare_and_start(self, name: str, timeout: float) -> None:
        directory, port = self._directory / name, self._ports.known(name) or 0
        password = self.credentials.known().get(name, "")
        if name == "kafka":
            controller = self._ports.known(CONTROLLER) or 0
            prepare_kafka(directory, port, controller, self._settings.java_home)
        elif name == "postgres":
            prepare_postgres(directory, port, password)
        else:
            prepare_redis(directory, port, password)
        self._service(name).start(timeout)
        if name == "postgres":
            ensure_database(port, password)

    def _service(self, name: str) -> Service:
        directory, port = self._directory / name, self._ports.known(name) or 0
        if name == "kafka":
            return kafka_service(directory, port, self._settings.java_home)
        password = self.credentials.known().get(name, "")
        make = postgres_service if name == "postgres" else redis_service
        return make(directory, port, password)

    def _endpoints(self) -> Endpoints:
        home, passwords = self._settings.home, self.credentials.known()
        port = {name: self._ports.known(name) or 0 for name in SERVICES}
        before = Endpoints.read(home) if (home / ENDPOINTS_FILE).exists() else None
        return Endpoints(
            kafka=self._settings.kafka or f"{LOOPBACK}:{port['kafka']}",
            postgres=self._settings.postgres
            or postgres_url(port["postgres"], passwords["postgres"]),
            redis=self._settings.redis or redis_url(port["redis"], passwords["redis"]),
            api=before.api if before else None,
            api_key=before.api_key if before else None,
            dashboard=before.dashboard if before else None,
            lake=self._settings.lake_root,
        )

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._directory.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._directory / "lock", timeout=LOCK_SECONDS):
                yield
        except Timeout as error:
            raise ServiceError(
                f"Another userflow command has held {error.lock_file} for {LOCK_SECONDS} s: "
                "wait for it or end it, then try again."
            ) from error


def _host_port(address: str) -> str:
    """Leave out user and password of a URL."""
    parts = urlsplit(address)
    return f"{parts.hostname}:{parts.port}" if parts.hostname else address
