"""Airflow of one home: scheduler, DAG processor and API server as supervised processes.

Not `airflow standalone`: that is one process which does not notice when a part of it dies, and it
starts a triggerer, which no DAG of ours needs. Everything is on loopback and below `airflow/` of
the home; the metadata are in our PostgreSQL, so that has to run, and stops last.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
from filelock import FileLock, Timeout
from psycopg.conninfo import conninfo_to_dict

from infra.airflow_stack.api import AirflowApi
from infra.airflow_stack.config import DAGS, PASSWORDS, admin_password, write_config, write_settings
from infra.airflow_stack.database import ensure_metadata
from infra.airflow_stack.orphans import end_orphans
from infra.database import PIPELINE
from infra.endpoints import Endpoints
from infra.errors import ServiceError, StackNotUp
from infra.settings import Settings
from infra.stack.credentials import Credentials
from infra.stack.ports import LOOPBACK, Ports
from infra.stack.stack import Health
from infra.stack.supervisor import Probe, Service

__all__ = ["PARTS", "AirflowStack"]

# In the order in which they stop: first of all, nothing begins any more.
PARTS = {
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "api-server": ("api-server",),
}
NAME = "airflow"
ROOT = DAGS.parents[1]
LOCK_SECONDS = 180
HEALTHY = "healthy"
# Tasks that run are told to end, which may take them a while.
STOP_SECONDS = 60


class AirflowStack:
    """The Airflow of one home."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.folder = settings.home / "airflow"
        self._ports = Ports(self.folder / "ports.json")
        self._credentials = Credentials(settings.home / "services" / "secrets.json")

    @property
    def url(self) -> str | None:
        """Where its UI and API are, once it has been started."""
        port = self._ports.known(NAME)
        return f"http://{LOOPBACK}:{port}" if port else None

    @property
    def password_file(self) -> Path:
        """Holds the password of the UI's user."""
        return self.folder / PASSWORDS

    def scheduler_pid(self) -> int | None:
        """None once nobody would run a task."""
        return self._service("scheduler").pid()

    def api(self) -> AirflowApi:
        """A client; raises `StackNotUp`."""
        if self.url is None or not any(self._service(part).pid() for part in PARTS):
            raise StackNotUp("Airflow does not run in this home: run `userflow airflow up` first.")
        return AirflowApi(self.url, admin_password(self._credentials))

    def up(self, port: int | None, say: Callable[[str], None] = lambda _: None) -> None:
        """Start what does not run, and return when all parts are healthy and every DAG is read.

        `port` is of the UI and the API: a free one, or that of the last start, when None.
        """
        endpoints = Endpoints.read(self._settings.home)
        if PIPELINE not in self._credentials.known():
            raise StackNotUp("The pipeline has no role yet: run `userflow init` first.")
        with self._lock():
            if not self._service("api-server").pid():
                self._prepare(endpoints, port, say)
            self._check_port(port)
            for part in PARTS:
                write_settings(self.folder / part, self._settings)
                if not self._service(part).pid():
                    end_orphans(self.folder / part)
            say("Starting Airflow")
            bound = 2 * self._settings.start_timeout
            # Tasks report to the API server: one that began before it would fail.
            self._service("api-server").start(bound)
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda part: self._service(part).start(bound), PARTS))
            self._connect(endpoints)

    def down(self) -> None:
        """Stop what runs; the history of runs stays."""
        if not self.folder.exists():
            return
        with self._lock():
            for part in PARTS:
                self._service(part).stop(STOP_SECONDS)
                end_orphans(self.folder / part)

    def status(self) -> dict[str, Health]:
        """How each part is now; empty unless any of them runs."""
        health = {part: self._health(part) for part in PARTS}
        return health if any(one.pid for one in health.values()) else {}

    def _health(self, part: str) -> Health:
        service = self._service(part)
        pid = service.pid()
        running = pid is not None and service.probe() is None
        address = self.url.removeprefix("http://") if self.url and part == "api-server" else None
        return Health(pid=pid, running=running, address=address, external=False)

    def _prepare(self, endpoints: Endpoints, port: int | None, say: Callable[[str], None]) -> None:
        """The database and the files; what still runs of an earlier start is stopped first."""
        for part in PARTS:
            self._service(part).stop(STOP_SECONDS)
        password = self._credentials.ensure(["airflow_database"])["airflow_database"]
        metadata = ensure_metadata(endpoints.postgres, password)
        chosen = self._ports.choose(NAME, port)
        write_config(self.folder, metadata=metadata, port=chosen, credentials=self._credentials)
        say("Bringing Airflow's database up to date")
        self._migrate()

    def _migrate(self) -> None:
        done = subprocess.run(
            [*_airflow(), "db", "migrate"],
            check=False,
            cwd=self.folder,
            env=self._environment(with_path=True),
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            tail = "\n".join(f"{done.stdout}{done.stderr}".splitlines()[-12:])
            raise ServiceError(f"Airflow's database could not be made:\n{tail}")

    def _check_port(self, wanted: int | None) -> None:
        actual = self._ports.known(NAME)
        if wanted is not None and wanted != actual:
            raise ServiceError(
                f"Airflow runs on port {actual}, not {wanted}: run `userflow airflow down` first."
            )

    def _connect(self, endpoints: Endpoints) -> None:
        """What DAGs of others may use: our PostgreSQL as the pipeline's role, and Slack."""
        known = conninfo_to_dict(endpoints.postgres)
        with self.api() as api:
            api.put_connection(
                "userflow_postgres",
                conn_type="postgres",
                host=known.get("host"),
                port=int(known.get("port") or 5432),
                schema=known.get("dbname"),
                login=PIPELINE,
                password=self._credentials.known()[PIPELINE],
            )
            webhook = self._settings.slack_webhook
            if webhook is not None:
                api.put_connection(
                    "slack_alerts", conn_type="slackwebhook", password=webhook.get_secret_value()
                )

    def _service(self, part: str) -> Service:
        return Service(
            name=f"airflow {part}",
            directory=self.folder / part,
            command=(*_airflow(), *PARTS[part]),
            environment=self._environment(),
            probe=self._probe(part),
        )

    def _probe(self, part: str) -> Probe:
        probes: dict[str, Callable[[AirflowApi], str | None]] = {
            "api-server": lambda api: _unhealthy(api, "metadatabase"),
            "scheduler": lambda api: _unhealthy(api, "scheduler"),
            "dag-processor": lambda api: _unhealthy(api, "dag_processor") or _unread(api),
        }

        def probe() -> str | None:
            try:
                with AirflowApi(self.url or "", admin_password(self._credentials)) as api:
                    return probes[part](api)
            except (httpx.HTTPError, ServiceError) as error:
                return type(error).__name__

        return probe

    def _environment(self, *, with_path: bool = False) -> dict[str, str]:
        """No secret among it: those are in files."""
        here = {"AIRFLOW_HOME": str(self.folder), "PYTHONPATH": str(ROOT)}
        java = {"JAVA_HOME": os.environ["JAVA_HOME"]} if "JAVA_HOME" in os.environ else {}
        path = {"PATH": os.environ.get("PATH", os.defpath)} if with_path else {}
        return here | java | path

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with FileLock(self.folder / "lock", timeout=LOCK_SECONDS):
                yield
        except Timeout as error:
            raise ServiceError(
                f"Another userflow command has held {error.lock_file} for {LOCK_SECONDS} s: "
                "wait for it or end it, then try again."
            ) from error


def _airflow() -> tuple[str, ...]:
    # `-P` keeps the working directory off the path; ROOT's folder `airflow` is no package.
    return (sys.executable, "-P", "-m", "airflow")


def _unhealthy(api: AirflowApi, part: str) -> str | None:
    status = api.health().get(part)
    return None if status == HEALTHY else f"{part} is {status or 'not there yet'}"


def _unread(api: AirflowApi) -> str | None:
    """Every file that holds a DAG is read, or known to be broken."""
    expected = {file.stem for file in DAGS.glob("*.py")} - {"wiring"}
    missing = expected - set(api.dags())
    if broken := api.import_errors():
        return f"Airflow cannot read {', '.join(broken)}"
    return f"not read yet: {', '.join(sorted(missing))}" if missing else None
