"""Dead letters for tests: put into PostgreSQL as the stream would, and what their topic holds."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from stacks import consume

from infra.dead_letters.letters import Place
from infra.endpoints import Endpoints

__all__ = ["TOPIC", "event", "put", "status_of", "topic_holds"]

TOPIC = "webtoon_user_events"
PUT = """
INSERT INTO ops.dead_letters (topic, partition, "offset", key, payload, received_at_us,
    reason_code, reason, contract_version, created_at, updated_at)
VALUES (%s, %s, %s, %b, %b, %s, %s, 'For a test.', 1, now(), now())"""


def event(at_us: int, **change: Any) -> bytes:
    """A webtoon event as it is sent."""
    fields = {
        "event_id": "e",
        "user_id": "u",
        "session_id": "s",
        "episode_id": "ep_0001",
        "event_type": "scroll",
        "scroll_ratio": 0.25,
        "country": "KR",
        "device": "mobile",
        "platform": "ios",
        "timestamp": at_us // 1000,
        **change,
    }
    return json.dumps({k: v for k, v in fields.items() if v is not None}).encode()


def put(
    stack: Endpoints,
    place: Place,
    payload: bytes | None,
    *,
    key: bytes | None = None,
    received_at_us: int | None = None,
    reason: str = "wrong_type",
) -> Place:
    """A letter, open."""
    values = [place.topic, place.partition, place.offset, key, payload, received_at_us, reason]
    with psycopg.connect(stack.postgres) as connection:
        connection.execute(PUT, values)
    return place


def status_of(stack: Endpoints, place: Place) -> tuple[str, str]:
    """Status and reason code."""
    with psycopg.connect(stack.postgres) as connection:
        found = connection.execute(
            "SELECT status, reason_code FROM ops.dead_letters "
            'WHERE topic = %s AND partition = %s AND "offset" = %s',
            [place.topic, place.partition, place.offset],
        ).fetchone()
    assert found is not None
    return found


def topic_holds(stack: Endpoints, topic: str, place: Place) -> list[Any]:
    """The records of the topic that were sent for this letter."""
    name = ("replay_of", str(place).encode())
    return [message for message in consume(stack, topic) if name in (message.headers() or [])]
