"""Rows and messages as the streams write them, for a dashboard to show."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from confluent_kafka import Producer

from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints

__all__ = ["JOB", "SHOWN", "forget_rows", "put_messages", "put_rows"]

SHOWN = "읽기 <b>실험</b>"
JOB = "shown-job"
STAMPS = "event_at, updated_at, feature_version, generation, epoch"
VALUES = "now(), now(), 1, 1, 1"
ROWS = (
    f"""INSERT INTO online.segment_features (country, genre, hour_of_day, read_count_7d,
        avg_completion_rate_7d, exit_rate_7d, {STAMPS}) VALUES
        ('KR', %(name)s, 1, 30, 0.8, 0.1, {VALUES}), ('JP', %(name)s, 2, 10, 0.4, 0.5, {VALUES})""",
    f"""INSERT INTO online.experiment_features (experiment_group, ui_version, read_count_24h,
        exit_rate_24h, z_24h, p_value_24h, {STAMPS}) VALUES
        ('A', %(name)s, 200, 0.30, NULL, NULL, {VALUES}),
        ('B', %(name)s, 200, 0.20, -2.31, 0.021, {VALUES})""",
    f"""INSERT INTO online.product_features
        (product_id, category, cart_count_1h, purchase_count_1h, {STAMPS})
        VALUES (%(name)s, 'shoes', 7, 2, {VALUES})""",
    """INSERT INTO ops.alerts (user_id, event_id, alert_type, severity, reason, value, threshold,
        event_at) VALUES ('who', %(name)s, 'rapid_clicks', 'HIGH', 'Two clicks 40 ms apart.', 40,
        100, now() - interval '1 minute')""",
    """INSERT INTO ops.stream_checkpoints (job, generation, place, layout, state, made_at)
        VALUES (%(job)s, 1, 'here', '{}', 'active', now())""",
    """INSERT INTO ops.stream_epochs (job, checkpoint_id, epoch, generation, committed_at,
        watermark, clock, rows_in, rows_out, accepted, duplicates, rejected)
        SELECT %(job)s, 'c', n, 1, now() - (10 - n) * interval '1 second', now(),
            '{"offsets": {"user-events/0": 0}}', 40 + n, 1, 1, 0, n
        FROM generate_series(1, 9) AS n""",
    """INSERT INTO ops.source_health (topic, state, since, seen, share, reason)
        VALUES (%(job)s, 'degraded', now(), 500, 0.4, 'wrong_type')""",
)
GONE = (
    "DELETE FROM online.segment_features WHERE genre = %(name)s",
    "DELETE FROM online.experiment_features WHERE ui_version = %(name)s",
    "DELETE FROM online.product_features WHERE product_id = %(name)s",
    "DELETE FROM ops.alerts WHERE event_id = %(name)s",
    "DELETE FROM ops.stream_checkpoints WHERE job = %(job)s",
    "DELETE FROM ops.stream_epochs WHERE job = %(job)s",
    "DELETE FROM ops.source_health WHERE topic = %(job)s",
)


def put_rows(stack: Endpoints) -> None:
    """A row of everything that a dashboard reads, named `SHOWN`."""
    _run(stack, ROWS)


def forget_rows(stack: Endpoints) -> None:
    """Take them away again."""
    _run(stack, GONE)


def _run(stack: Endpoints, statements: Iterable[str]) -> None:
    with psycopg.connect(pipeline_conninfo(stack.postgres)) as connection:
        for statement in statements:
            connection.execute(statement, {"name": SHOWN, "job": JOB})


def put_messages(stack: Endpoints, *, sessions: int = 5) -> None:
    """Sessions, each told twice under one id, and what was viewed in them."""
    now = datetime.now(UTC)
    producer = Producer({"bootstrap.servers": stack.kafka})
    for number in range(sessions):
        session: dict[str, Any] = {
            "message_id": f"dashboard/{number}",
            "session_id": f"{SHOWN} {number}",
            "user_id": "who",
            "start_time": (now - timedelta(minutes=number + 2)).isoformat(),
            "end_time": (now - timedelta(seconds=30)).isoformat(),
            "duration_ms": (number + 2) * 60_000 - 30_000,
            "page_views": number + 1,
            "has_conversion": number == 0,
            "event_at": now.isoformat(),
        }
        for _ in range(2):
            producer.produce("session-metrics", json.dumps(session), key=session["session_id"])
    product = {
        "message_id": "dashboard/p",
        "product_id": SHOWN,
        "view_count_5m": 12,
        "event_at": now.isoformat(),
    }
    producer.produce("product-popularity", json.dumps(product), key=SHOWN)
    producer.produce("alerts", b"no message of ours")
    assert producer.flush(20) == 0
