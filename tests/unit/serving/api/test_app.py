"""The app without stores: keys, limits, errors, what is logged and counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import pytest
import structlog

from serving.api.app import create_app
from serving.api.keys import Key
from serving.api.rates import Rates
from serving.api.services import Services
from serving.errors import Unauthorised, Unavailable
from serving.online.plan import Found, Plan
from serving.online.ports import Entities
from serving.online.reader import OnlineReader
from serving.settings import ServingSettings

AT = b"2026-01-01T00:00:00.000000Z"
KEYS = {
    "reads": Key("1", "", frozenset({"read"})),
    "collects": Key("2", "", frozenset({"collect"})),
    "all": Key("3", "", frozenset({"collect", "read", "admin"})),
}


class Ring:
    """Knows the keys above."""

    def known(self, secret: str) -> Key | None:
        return KEYS.get(secret)

    async def find(self, _: str) -> Key:
        raise Unauthorised("not known")


class Store:
    """Has the row of every id that does not begin with `no`; fails as it is told to."""

    def __init__(self) -> None:
        self.failure: Exception | None = None

    async def read(self, plan: Plan, entities: Entities) -> dict[str, Found]:
        if self.failure:
            raise self.failure
        pieces = [b"null"] * len(plan.names)
        return {i: Found(AT, AT, pieces, "redis") for i in entities if not i.startswith("no")}


class Empty:
    """Has nothing."""

    async def read(self, *_: object) -> dict[str, Found]:
        return {}


@dataclass
class Postgres:
    """Whether it is said to be up."""

    is_up: bool = True


async def _up() -> bool:
    return True


async def _down() -> bool:
    return False


@dataclass
class Api:
    """One request at a time, each on an event loop of its own."""

    settings: ServingSettings = field(default_factory=lambda: ServingSettings(max_ids=3))
    store: Store = field(default_factory=Store)
    rates: Rates = field(default_factory=Rates)
    probes: dict[str, Any] = field(default_factory=lambda: {"redis": _up})

    def __post_init__(self) -> None:
        self.services = Services(
            settings=self.settings,
            online=OnlineReader(self.store, Empty()),
            keys=cast("Any", Ring()),
            postgres=cast("Any", Postgres()),
            rates=self.rates,
            probes=self.probes,
        )
        self.app = create_app(self.services)

    def call(self, method: str, path: str, key: str | None = "reads", **more: Any) -> Any:
        given: dict[str, str] = more.pop("headers", {})
        headers = {**given, "Authorization": f"Bearer {key}"} if key else given

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(ask())

    def get(self, path: str, **more: Any) -> Any:
        return self.call("GET", path, **more)

    def post(self, document: Any, **more: Any) -> Any:
        body = document if isinstance(document, bytes) else json.dumps(document)
        return self.call("POST", "/v1/features", content=body, **more)


@pytest.fixture
def api() -> Api:
    return Api()


ONE = "/v1/features/user_features/u1"
MANY = {"view": "user_features", "ids": ["u1", "no", "u2"], "features": ["country"]}


def test_one_entity(api: Api) -> None:
    answer = api.get(ONE)
    assert answer.status_code == 200
    assert answer.headers["x-userflow-source"] == "redis"
    assert set(answer.json()) == {"id", "features", "event_at", "updated_at", "age_ms", "stale"}


@pytest.mark.parametrize(
    "entity_id", ["a/b", "a%b", "é", "a\nb", "a?b#c", "..", "//", " ", "a|b", "|", "'\";", "%2F"]
)
def test_an_id_may_hold_any_character(api: Api, entity_id: str) -> None:
    from urllib.parse import quote

    # A client takes `..` for the folder above.
    quoted = quote(entity_id, safe="").replace(".", "%2E")
    answer = api.get(f"/v1/features/user_features/{quoted}")
    assert answer.json()["id"] == entity_id


def test_many_entities_come_in_their_order_with_null_for_unknown_ones(api: Api) -> None:
    rows = api.post(MANY).json()["results"]
    assert [row["id"] for row in rows] == ["u1", "no", "u2"]
    assert [row["features"] for row in rows] == [{"country": None}, None, {"country": None}]


def test_nothing_asked_is_nothing_answered(api: Api) -> None:
    assert api.post({"view": "user_features", "ids": []}).json() == {"results": []}


@pytest.mark.parametrize(
    ("key", "status"), [(None, 401), ("wrong", 401), ("collects", 403), ("all", 200)]
)
def test_a_key_with_the_scope_is_needed(api: Api, key: str | None, status: int) -> None:
    assert api.get(ONE, key=key).status_code == status
    assert api.post(MANY, key=key).status_code == status


@pytest.mark.parametrize("header", ["reads", "Basic reads", "Bearer", "Bearer ", "bearer  reads "])
def test_a_key_is_a_bearer(api: Api, header: str) -> None:
    status = api.get(ONE, key=None, headers={"Authorization": header}).status_code
    assert status == (200 if header.startswith("bearer") else 401)


def test_a_key_of_a_reader_does_not_go_into_an_address(api: Api) -> None:
    assert api.get(f"{ONE}?key=reads", key=None).status_code == 401


NOT_FOUND: dict[str, tuple[Callable[[Api], Any], str]] = {
    "view": (lambda api: api.get("/v1/features/user_featurs/u1"), "user_features"),
    "id": (lambda api: api.get("/v1/features/user_features/nobody"), "user_id"),
    "form": (lambda api: api.get("/v1/features/session_features/s1"), "session_id|episode_id"),
    "feature": (lambda api: api.post({**MANY, "features": ["contry"]}), "country"),
    "path": (lambda api: api.get("/v1/featurs"), "/docs"),
}


@pytest.mark.parametrize("what", NOT_FOUND)
def test_what_is_not_there_is_told_with_what_is_like_it(api: Api, what: str) -> None:
    ask, says = NOT_FOUND[what]
    answer = ask(api)
    assert answer.status_code == 404
    assert says in answer.json()["error"]["message"]


def test_another_method_is_refused(api: Api) -> None:
    answer = api.call("DELETE", ONE)
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, "body"),
        (b"{", 400, "body"),
        (b'{"view": "\xff", "ids": []}', 400, "body"),
        (b'{"view": "v", "ids": [], "x":' + b"[" * 100_000, 400, "body"),
        (b'{"view": "user_features", "ids": ["\\ud800"]}', 400, "body"),
        ([], 422, "body"),
        ({"ids": []}, 422, "view"),
        ({"view": "user_features"}, 422, "ids"),
        ({"view": "user_features", "ids": "u1"}, 422, "ids"),
        ({"view": "user_features", "ids": [1]}, 422, "ids[0]"),
        ({"view": 3, "ids": []}, 422, "view"),
        ({**MANY, "features": "country"}, 422, "features"),
    ],
)
def test_junk_is_refused_with_the_field(api: Api, body: Any, status: int, field: str) -> None:
    answer = api.post(body)
    assert answer.status_code == status
    assert answer.json()["error"]["field"] == field


def test_more_ids_than_allowed_are_too_many(api: Api) -> None:
    assert api.post({"view": "user_features", "ids": ["u"] * 3}).status_code == 200
    assert api.post({"view": "user_features", "ids": ["u"] * 4}).status_code == 413


def test_a_hundred_thousand_ids_are_too_large() -> None:
    many = {"view": "user_features", "ids": [f"user-{i}" for i in range(100_000)]}
    assert Api(ServingSettings()).post(many).status_code == 413


def test_a_body_that_does_not_say_how_long_it_is_is_counted() -> None:
    async def parts() -> Any:
        for _ in range(20):
            yield b" " * 1000

    api = Api(ServingSettings(max_body_bytes=10_000))
    answer = api.call("POST", "/v1/features", content=parts())
    assert answer.status_code == 413
    assert "10,000 bytes" in answer.json()["error"]["message"]


def test_a_key_that_asks_too_much_is_told_when_to_come_back() -> None:
    api = Api(rates=Rates(2, clock=lambda: 0.0))
    assert [api.get(ONE).status_code for _ in range(3)] == [200, 200, 429]
    assert api.get(ONE).headers["retry-after"] == "1"
    assert api.get(ONE, key="all").status_code == 200


def test_no_store_is_no_failure_of_ours(api: Api) -> None:
    api.store.failure = Unavailable("away")
    # PostgreSQL is there, and has nothing.
    assert api.get(ONE).status_code == 404


def test_a_bug_is_logged_and_says_nothing_to_the_client(api: Api) -> None:
    api.store.failure = RuntimeError("secret")
    with structlog.testing.capture_logs() as logs:
        answer = api.get(ONE)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert [line["event"] for line in logs] == ["request_failed"]


def test_who_hangs_up_is_no_failure_of_ours(api: Api) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/features",
        "query_string": b"",
        "headers": [(b"authorization", b"Bearer reads"), (b"content-length", b"10")],
    }
    with structlog.testing.capture_logs() as logs:
        asyncio.run(api.app(scope, receive, send))
    assert (sent, logs) == ([], [])
    assert 'route="/v1/features",status="499"} 1.0' in api.get("/metrics", key=None).text


def test_health_needs_no_key(api: Api) -> None:
    assert api.get("/healthz", key=None).json() == {"status": "ok"}


def test_readiness_says_which_part_is_down() -> None:
    api = Api(probes={"redis": _up, "postgres": _down})
    answer = api.get("/readyz", key=None)
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "parts": {"redis": "up", "postgres": "down"}}


def test_metrics_count_by_template_not_by_id(api: Api) -> None:
    api.get(ONE)
    api.post(MANY)
    told = api.get("/metrics", key=None).text
    route = 'route="/v1/features/{view}/{id}"'
    assert f'userflow_api_requests_total{{{route},status="200"}} 1.0' in told
    assert 'userflow_api_rows_total{source="redis",view="user_features"} 3.0' in told
    assert 'userflow_api_rows_total{source="none",view="user_features"} 1.0' in told
    assert "u1" not in told


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []

    def log(event: str, **fields: Any) -> None:
        lines.append({"event": event, **fields})

    monkeypatch.setattr("serving.api.app.access_log", lambda: log)
    return lines


def test_the_access_log_has_no_id_no_query_no_body_and_no_key(
    logged: list[dict[str, Any]],
) -> None:
    api = Api(ServingSettings(access_log=True))
    api.get(f"{ONE}?key=hunter2")
    (line,) = logged
    assert set(line) == {"event", "method", "route", "status", "ms", "bytes", "key_id"}
    assert line["route"] == "/v1/features/{view}/{id}"
    assert line["key_id"] == "1"
    assert "u1" not in str(line)
    assert "hunter2" not in str(line)


def test_the_documents_describe_every_view(api: Api) -> None:
    from serving.online.served import SERVED

    document = api.get("/openapi.json", key=None).json()
    paths = document["paths"]
    assert {"/v1/features/{view}/{id}", "/v1/features", "/healthz", "/readyz"} <= set(paths)
    for view in SERVED.values():
        name = "".join(part.capitalize() for part in view.name.split("_"))
        assert set(document["components"]["schemas"][name]["properties"]) == {
            column.name for column in view.features
        }
    assert paths["/v1/features"]["post"]["security"]
