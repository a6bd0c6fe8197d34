"""`POST /v1/events` and the pages over logs and keys in memory."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import pytest

from serving.api.app import create_app
from serving.api.keys import Key
from serving.api.services import Services
from serving.collector.collector import Collector
from serving.collector.enrichment import address_form
from serving.collector.log import MemoryEventLog
from serving.errors import Unauthorised
from serving.metrics.values import Metrics
from serving.settings import ServingSettings
from serving.web.pages import SamplePages

NOW_MS = 1_767_225_600_000
KEYS = {
    "collects": Key("1", "", frozenset({"collect"})),
    "reads": Key("2", "", frozenset({"read"})),
    "all": Key("3", "", frozenset({"collect", "read", "admin"})),
}
CLICK = {"event_type": "click", "element_id": "b", "event_id": "e", "timestamp": NOW_MS}


class Ring:
    def known(self, secret: str) -> Key | None:
        return KEYS.get(secret)

    async def find(self, _: str) -> Key:
        raise Unauthorised("not known")


class PageKeys:
    async def collect(self) -> str:
        return "collects"

    async def read(self) -> str:
        return "reads"

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Catalogue:
    """What `dim` holds."""

    async def fetch(self, query: str, **_: Any) -> list[tuple[Any, ...]]:
        products = "dim.products" in query
        return [("p", "Shoe", "shoes", None, 9.5) if products else ("e", "One", "daily", [], 8.5)]


@dataclass
class Api:
    samples: bool = True
    log: MemoryEventLog = field(default_factory=MemoryEventLog)
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        def count(events: int, topic: str, outcome: str) -> None:
            self.metrics.add("userflow_api_events_total", events, topic, outcome)

        kept = address_form("truncated", b"")
        self.app = create_app(
            Services(
                settings=ServingSettings(cors_origins=("https://shop.example",)),
                online=cast("Any", None),
                keys=cast("Any", Ring()),
                postgres=cast("Any", None),
                metrics=self.metrics,
                collector=Collector(
                    self.log, kept_address=kept, count=count, now_ms=lambda: NOW_MS
                ),
                samples=SamplePages(PageKeys(), cast("Any", Catalogue())) if self.samples else None,
            )
        )

    def call(self, method: str, path: str, key: str | None = "collects", **more: Any) -> Any:
        headers = more.pop("headers", {}) | ({"Authorization": f"Bearer {key}"} if key else {})

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(
                self.app, raise_app_exceptions=False, client=("203.0.113.77", 1)
            )
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(ask())

    def post(self, document: Any, path: str = "/v1/events", **more: Any) -> Any:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.call("POST", path, content=body, **more)


@pytest.fixture
def api() -> Api:
    return Api()


def test_each_event_gets_its_answer_and_is_sent_on(api: Api) -> None:
    answer = api.post([CLICK, {"event_type": "dance"}], headers={"user-agent": "Test/1"})
    assert answer.status_code == 202
    first, second = answer.json()["results"]
    assert first == {"status": "accepted", "reason": None, "reason_code": None}
    assert (second["status"], second["reason_code"]) == ("rejected", "not_allowed")
    sent, refused = api.log.records
    assert json.loads(sent.value) == {**CLICK, "ip": "203.0.113.0", "user_agent": "Test/1"}
    assert refused.value == b'{"event_type": "dance"}'
    assert {record.received_at_ms for record in api.log.records} == {NOW_MS}


def test_nothing_sent_is_nothing_answered(api: Api) -> None:
    assert api.post([]).json() == {"results": []}


def test_a_log_that_is_away_is_told_with_when_to_come_back(api: Api) -> None:
    api.log.away = True
    answer = api.post(CLICK)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    api.log.away = False
    assert api.post(CLICK).status_code == 202
    counted = api.metrics.exposition().decode()
    assert 'userflow_api_events_total{outcome="untaken",topic="user-events"} 1' in counted
    assert 'userflow_api_events_total{outcome="accepted",topic="user-events"} 1' in counted


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/v1/events", None, 401),
        ("/v1/events", "wrong", 401),
        ("/v1/events", "reads", 403),
        ("/v1/events", "all", 202),
        ("/v1/events?key=collects", None, 202),
        ("/v1/events?key=wrong", None, 401),
        ("/v1/events?key=reads", None, 403),
        # What may do more is not for addresses, which others log.
        ("/v1/events?key=all", None, 403),
    ],
)
def test_keys_decide(api: Api, path: str, key: str | None, status: int) -> None:
    assert api.post(CLICK, path=path, key=key).status_code == status


def test_a_body_may_be_as_large_as_a_topic_takes_and_no_larger(api: Api) -> None:
    note = "x" * (1 << 19)
    events = [{**CLICK, "event_id": str(n), "note": note} for n in range(15)]
    assert api.post(events).status_code == 202
    assert api.post([*events, events[0]]).status_code == 413
    assert len(api.log.records) == 15


def test_pages_of_one_origin_may_call(api: Api) -> None:
    asked = {"access-control-request-method": "POST", "origin": "https://shop.example"}
    answer = api.call("OPTIONS", "/v1/events", key=None, headers=asked)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    other = api.post(CLICK, headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_a_page_knows_its_keys_and_its_goods(api: Api) -> None:
    setup = api.call("GET", "/samples/setup.json", key=None).json()
    assert setup == {"collect_key": "collects", "read_key": "reads"}
    assert api.call("GET", "/samples/products.json", key=None).json() == [
        {"product_id": "p", "name": "Shoe", "category": "shoes", "brand": None, "price": 9.5}
    ]
    assert api.call("GET", "/samples/episodes.json", key=None).json()[0]["episode_id"] == "e"
    for page in ("shop", "webtoon", "replay"):
        answer = api.call("GET", f"/samples/{page}", key=None)
        assert answer.status_code == 200
        assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_another_site_gets_no_keys(api: Api) -> None:
    headers = {"sec-fetch-site": "cross-site"}
    answer = api.call("GET", "/samples/setup.json", key=None, headers=headers)
    assert answer.status_code == 404
    assert "collects" not in answer.text


@pytest.mark.parametrize(
    "path", ["/samples/shp", "/samples/files/pages.py", "/samples/files/..%2Fpages.py"]
)
def test_nothing_else_is_served(api: Api, path: str) -> None:
    assert api.call("GET", path, key=None).status_code == 404


@pytest.mark.parametrize("path", ["", "/shop", "/setup.json", "/products.json", "/files/shop.js"])
def test_pages_are_off_unless_they_are_turned_on(path: str) -> None:
    api = Api(samples=False)
    answer = api.call("GET", f"/samples{path}", key=None)
    assert answer.status_code == 404
    assert "userflow serve --samples" in answer.json()["error"]["message"]
    assert api.call("GET", "/tracker.js", key=None).status_code == 200
