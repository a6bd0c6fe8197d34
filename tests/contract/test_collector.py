"""The collector against a real broker: what it accepts is there, and outages are told."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import served
from stacks import consume, settings_for

from features.contracts import CONTRACTS
from features.validation import Accepted, Rejected, validate
from infra.api_keys import create_key
from infra.endpoints import Endpoints
from infra.stack.stack import Stack

pytestmark = pytest.mark.stack

Event = dict[str, Any]


@pytest.fixture(scope="module")
def api(stack: Endpoints, stack_home: Path) -> Iterator[str]:
    settings = settings_for(stack_home).model_copy(
        update={"api_cors_origins": "https://shop.example"}
    )
    with served(settings, stack) as address:
        yield address


@pytest.fixture(scope="module")
def key(stack: Endpoints) -> str:
    return create_key(stack.postgres, ["collect"], "test")[1]


@pytest.fixture
def client(api: str, key: str) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {key}", "user-agent": "Test/1"}
    with httpx.Client(base_url=api, headers=headers, timeout=10) as client:
        yield client


@pytest.fixture
def session(request: pytest.FixtureRequest) -> str:
    """A session that only this test uses."""
    return f"{request.node.name}-{time.time_ns()}"


def view(session: str, number: int = 1, **more: Any) -> Event:
    return {
        "event_id": f"{session}-{number}",
        "event_type": "product_view",
        "user_id": "u",
        "session_id": session,
        "product_id": "p",
        "timestamp": time.time_ns() // 1_000_000,
        **more,
    }


def of_session(stack: Endpoints, session: str, topic: str = "user-events") -> list[Any]:
    return [message for message in consume(stack, topic) if session.encode() in message.value()]


def statuses(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 202, answer.text
    return [result["status"] for result in answer.json()["results"]]


def test_what_is_accepted_stands_in_kafka(
    client: httpx.Client, stack: Endpoints, session: str
) -> None:
    before_ms = time.time_ns() // 1_000_000
    events = [view(session, n) for n in range(20)]
    # As a proxy on this machine says it.
    answer = client.post("/v1/events", json=events, headers={"x-forwarded-for": "203.0.113.77"})
    assert statuses(answer) == ["accepted"] * 20
    messages = of_session(stack, session)
    assert [json.loads(message.value())["event_id"] for message in messages] == [
        f"{session}-{n}" for n in range(20)
    ]
    for message in messages:
        ((name, received),) = message.headers()
        assert name == "received_at"
        assert before_ms <= int(received) <= time.time_ns() // 1_000_000
        assert message.key() == session.encode()
        outcome = validate(CONTRACTS["user-events"], message.value(), int(received) * 1000)
        assert isinstance(outcome, Accepted)
        assert (outcome.event["ip"], outcome.event["user_agent"]) == ("203.0.113.0", "Test/1")


def test_each_event_has_its_own_answer_and_none_is_lost(
    client: httpx.Client, stack: Endpoints, session: str
) -> None:
    events = [view(session, 1), {**view(session, 2), "price": -1}, view(session, 3)]
    answer = client.post("/v1/events?topic=user-events", json=events)
    assert statuses(answer) == ["accepted", "rejected", "accepted"]
    rejected = answer.json()["results"][1]
    assert rejected["reason_code"] == "out_of_range"
    assert "price" in rejected["reason"]
    # The stream will make a dead letter of it, for the same reason.
    messages = of_session(stack, session)
    (bad,) = [one for one in messages if one.value() == json.dumps(events[1], **COMPACT).encode()]
    received_us = int(dict(bad.headers())["received_at"]) * 1000
    outcome = validate(CONTRACTS["user-events"], bad.value(), received_us)
    assert isinstance(outcome, Rejected)
    assert outcome.reason_code == "out_of_range"
    assert len(messages) == 3


COMPACT: dict[str, Any] = {"ensure_ascii": False, "separators": (",", ":")}  # as httpx writes it


def test_a_beacon_is_text_and_has_its_key_in_the_address(
    api: str, key: str, stack: Endpoints, session: str
) -> None:
    answer = httpx.post(
        f"{api}/v1/events?key={key}",
        content=json.dumps(view(session)),
        headers={"content-type": "text/plain;charset=UTF-8", "origin": "https://shop.example"},
    )
    assert statuses(answer) == ["accepted"]
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert len(of_session(stack, session)) == 1


def test_a_reader_is_known_by_what_he_does(
    client: httpx.Client, stack: Endpoints, session: str
) -> None:
    event = {
        "event_type": "enter",
        "user_id": "u",
        "session_id": session,
        "episode_id": "e",
        "country": "KR",
        "device": "mobile",
        "platform": "web",
        "timestamp": time.time(),
    }
    body = f"{json.dumps(event)}\nnot an event\n"
    answer = client.post(
        "/v1/events", content=body, headers={"content-type": "application/x-ndjson"}
    )
    assert statuses(answer) == ["accepted", "rejected"]
    assert len(of_session(stack, session, "webtoon_user_events")) == 1


def test_only_some_pages_may_call(api: str) -> None:
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    ours = httpx.options(f"{api}/v1/events", headers={"origin": "https://shop.example", **asked})
    assert ours.status_code == 200
    assert ours.headers["access-control-allow-origin"] == "https://shop.example"
    others = httpx.options(f"{api}/v1/events", headers={"origin": "https://evil.example", **asked})
    assert "access-control-allow-origin" not in others.headers


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/events", b"not json", 400),
        ("/v1/events", b"", 400),
        ("/v1/events", b"7", 400),
        ("/v1/events?topic=user-event", b"{}", 404),
        ("/v1/events?topic=dead-letters", b"{}", 404),
        ("/v1/events", b"[" + b"1," * 10_000 + b"1]", 413),
        ("/v1/events", b" " * (8 << 20), 413),
    ],
)
def test_what_is_no_event_is_refused_as_a_whole(
    client: httpx.Client, path: str, body: bytes, status: int
) -> None:
    answer = client.post(path, content=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


def test_an_event_of_more_than_a_mebibyte_spoils_no_other(
    client: httpx.Client, stack: Endpoints, session: str
) -> None:
    large = view(session, 1, note="x" * (1 << 20))
    answer = client.post("/v1/events", json=[large, view(session, 2)])
    assert statuses(answer) == ["rejected", "accepted"]
    assert answer.json()["results"][0]["reason_code"] == "too_large"
    assert sorted(len(m.value()) > 1 << 20 for m in of_session(stack, session)) == [False, True]


def test_keys_decide(api: str, stack: Endpoints, session: str) -> None:
    _, reading = create_key(stack.postgres, ["read"], "test")
    _, both = create_key(stack.postgres, ["collect", "read"], "test")
    send = f"{api}/v1/events"
    assert httpx.post(send, json=[]).status_code == 401
    assert httpx.post(send, json=[], headers=bearer("uf_wrong")).status_code == 401
    assert httpx.post(send, json=[], headers=bearer(reading)).status_code == 403
    assert httpx.post(send, json=[], headers=bearer(both)).status_code == 202
    assert httpx.post(f"{send}?key={both}", json=[]).status_code == 403


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_a_broker_that_stands_still_is_told_and_waited_for(
    client: httpx.Client, stack: Endpoints, stack_home: Path, session: str
) -> None:
    pid = Stack(settings_for(stack_home)).status()["kafka"].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        for most_s in (2.0, 1.0):
            began = time.monotonic()
            answer = client.post("/v1/events", json=view(session, 1))
            assert time.monotonic() - began < most_s
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
    finally:
        os.kill(pid, signal.SIGCONT)
    deadline = time.monotonic() + 20
    while (answer := client.post("/v1/events", json=view(session, 1))).status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert statuses(answer) == ["accepted"]
    # Sent three times, and maybe written as often: one event all the same.
    found = {json.loads(m.value())["event_id"] for m in of_session(stack, session)}
    assert found == {f"{session}-1"}
