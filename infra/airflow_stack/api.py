"""Airflow's REST API, as far as we use it: health, connections, runs and their tasks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any
from urllib.parse import quote

import httpx

from infra.airflow_stack.config import ADMIN
from infra.errors import RunRefused, ServiceError

__all__ = ["AirflowApi", "Run", "TaskState"]

# A machine that runs tasks with all its cores still answers, but late.
TIMEOUT_S = 30.0
LOOK_EVERY_S = 1.0
FINISHED = ("success", "failed")
UNKNOWN, INVALID = (
    httpx.codes.NOT_FOUND,
    (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """`state`: as Airflow names it, None before it was looked at; `seconds` that it ran."""

    task: str
    state: str | None
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of a DAG; `tasks` in the order in which they began."""

    dag: str
    run_id: str
    state: str
    tasks: tuple[TaskState, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return asdict(self)


class AirflowApi:
    """A client of the API server at `base_url`; used as a context. It asks for a token once."""

    def __init__(
        self, base_url: str, password: str, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._client = httpx.Client(base_url=base_url, timeout=TIMEOUT_S, transport=transport)
        self._password = password

    def __enter__(self) -> AirflowApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def health(self) -> dict[str, str | None]:
        """Part -> `healthy`, `unhealthy`, or None where it has never run. Needs no password."""
        parts = self._client.get("/api/v2/monitor/health").raise_for_status().json()
        return {name: part.get("status") for name, part in parts.items()}

    def dags(self) -> list[str]:
        """The DAGs that Airflow has read."""
        found = self._call("GET", "/dags", params={"limit": 100}).json()
        return sorted(dag["dag_id"] for dag in found["dags"])

    def import_errors(self) -> list[str]:
        """The files that Airflow could not read."""
        return [
            one["filename"] for one in self._call("GET", "/importErrors").json()["import_errors"]
        ]

    def put_connection(self, name: str, **fields: object) -> None:
        """Make a connection, or make it what is given."""
        body = {"connection_id": name, **fields}
        known = self._send("GET", f"/connections/{name}").status_code != UNKNOWN
        if known:
            self._call("PATCH", f"/connections/{name}", json=body)
        else:
            self._call("POST", "/connections", json=body)

    def trigger(self, dag: str, run_date: date | None) -> Run:
        """Begin a run; raises `RunRefused`."""
        place = f"/dags/{quote(dag, safe='')}"
        if self._send("GET", place).status_code == UNKNOWN:
            raise RunRefused(f"Airflow knows no DAG {dag}: it has {', '.join(self.dags())}.")
        if self._call("GET", place).json()["is_paused"]:
            raise RunRefused(f"{dag} is paused, so it would wait for ever: switch it on in the UI.")
        conf = {"run_date": run_date.isoformat()} if run_date else {}
        body = {"logical_date": None, "conf": conf}
        begun = self._call("POST", f"{place}/dagRuns", json=body).json()
        return Run(dag=dag, run_id=begun["dag_run_id"], state=begun["state"])

    def run(self, dag: str, run_id: str) -> Run:
        """How a run is now."""
        place = f"/dags/{quote(dag, safe='')}/dagRuns/{quote(run_id, safe='')}"
        state = self._call("GET", place).json()["state"]
        tasks = self._call("GET", f"{place}/taskInstances").json()["task_instances"]
        begun = sorted(tasks, key=lambda one: (one["start_date"] or "~", one["task_id"]))
        return Run(
            dag=dag,
            run_id=run_id,
            state=state,
            tasks=tuple(
                TaskState(task=one["task_id"], state=one["state"], seconds=one["duration"])
                for one in begun
            ),
        )

    def wait(self, run: Run, look: Callable[[Run], None]) -> Run:
        """Wait until a run has ended; `look` sees it every second, and may raise to give up."""
        while run.state not in FINISHED:
            time.sleep(LOOK_EVERY_S)
            run = self.run(run.dag, run.run_id)
            look(run)
        return run

    def _call(self, method: str, path: str, **given: Any) -> httpx.Response:
        answer = self._send(method, path, **given)
        if answer.status_code in INVALID:
            raise RunRefused(f"Airflow refused {method} {path}: {answer.json().get('detail')}.")
        if answer.is_error:
            raise ServiceError(
                f"Airflow answered {method} {path} with {answer.status_code}: its logs are below "
                "`airflow/` of the home."
            )
        return answer

    def _send(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            if "authorization" not in self._client.headers:
                self._client.headers["authorization"] = f"Bearer {self._token()}"
            return self._client.request(method, f"/api/v2{path}", **given)
        except httpx.HTTPError as error:
            raise ServiceError(
                f"Airflow does not answer ({type(error).__name__}): run `userflow airflow up`."
            ) from error

    def _token(self) -> str:
        body = {"username": ADMIN, "password": self._password}
        answer = self._client.post("/auth/token", json=body).raise_for_status()
        token: str = answer.json()["access_token"]
        return token
