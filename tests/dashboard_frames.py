"""Small frames of what the dashboard knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from serving.dashboard.board import Seen
from serving.dashboard.group_tests import GROUPS
from serving.dashboard.messages import ALERTS, PRODUCTS, SESSIONS, Heard
from serving.dashboard.poller import Reading
from serving.dashboard.stored import DETAILS, RATES, SOURCES, WINDOWS, Stored

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def sessions(*rows: tuple[float, float, int, bool]) -> pl.DataFrame:
    """Minutes before NOW of the first and the last event, page views, whether it bought."""
    return pl.DataFrame(
        [
            {
                "session_id": f"s{number}",
                "start_time": NOW - timedelta(minutes=first),
                "end_time": NOW - timedelta(minutes=last),
                "duration_ms": round((first - last) * 60_000),
                "page_views": views,
                "has_conversion": converted,
            }
            for number, (first, last, views, converted) in enumerate(rows)
        ],
        schema=SESSIONS,
    )


def products(**views: int) -> pl.DataFrame:
    rows = [{"product_id": key, "view_count_5m": n, "event_at": NOW} for key, n in views.items()]
    return pl.DataFrame(rows, schema=PRODUCTS)


def alerts(*minutes: float, **more: Any) -> pl.DataFrame:
    """One alert at each of these minutes before NOW."""
    rows = [
        {
            "event_id": f"e{number}",
            "alert_type": "rapid_clicks",
            "severity": "HIGH",
            "reason": "Two clicks 40 ms apart.",
            "value": 40.0,
            "threshold": 100.0,
            "event_at": NOW - timedelta(minutes=before),
            **more,
        }
        for number, before in enumerate(minutes)
    ]
    return pl.DataFrame(rows, schema=ALERTS)


def groups(*rows: tuple[str, str, int, float]) -> pl.DataFrame:
    """Group, interface, count, rate."""
    names = ("group", "beside", "count", "rate")
    return pl.DataFrame([dict(zip(names, row, strict=True)) for row in rows], schema=GROUPS)


def stored(**known: Any) -> Stored:
    """What PostgreSQL has: nothing but what is given."""
    nothing: dict[str, Any] = {
        "alerts": pl.DataFrame(schema=ALERTS),
        "by_genre": pl.DataFrame(schema=RATES),
        "by_country": pl.DataFrame(schema=RATES),
        "reading_tests": dict.fromkeys(WINDOWS, pl.DataFrame(schema=GROUPS)),
        "sales_tests": dict.fromkeys(WINDOWS, pl.DataFrame(schema=GROUPS)),
        "progress": [],
        "degraded": pl.DataFrame(schema=SOURCES),
        "products": pl.DataFrame(schema=DETAILS),
    }
    return Stored(**{**nothing, **known})


def seen(**known: Any) -> Seen:
    """What a board knows: nothing but what is given, frames of topics by their names."""
    heard = {
        name: known.pop(name, pl.DataFrame(schema=schema))
        for name, schema in (("sessions", SESSIONS), ("products", PRODUCTS), ("alerts", ALERTS))
    }
    nothing: dict[str, Any] = {
        "now": NOW,
        "heard": Heard(**heard),
        "topics": None,
        "stored": Reading(),
        "ends": Reading(),
        "freshness": Reading(),
    }
    return Seen(**{**nothing, **known})
