"""The daily Spark jobs: the command over loaded days agrees with a naive answer.

That a repeat leaves the same tables is shown by a DAG that runs twice (`tests/dags/test_runs.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from batch_stores import load, new_database
from oracle import daily

from infra.endpoints import Endpoints

pytestmark = [pytest.mark.slow, pytest.mark.stack, pytest.mark.timeout(600)]
REPOSITORY = Path(__file__).parents[2]
DAY = date(2026, 3, 31)
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Mobile/15E148 Safari/604.1"
)
TYPES = ("page_view", "product_view", "click", "search", "add_to_cart", "purchase")


def test_the_tables_of_a_day_are_those_of_a_naive_answer(
    stack: Endpoints, stack_home: Path, tmp_path: Path
) -> None:
    home, lake = tmp_path / "home", tmp_path / "lake"
    home.mkdir()
    endpoints = replace(new_database(stack, stack_home, "daily_jobs"), lake=str(lake))
    endpoints.write(home)
    events = shopping(Random(5), 900)
    load_days(endpoints.postgres, "user-events", events)
    load_days(endpoints.postgres, "transactions", paid())

    found = run(home)
    agree(lake, events)
    assert found["product_metrics"] > 0
    assert found == {name: read(lake, name).height for name in found}


def agree(lake: Path, events: list[dict[str, Any]]) -> None:
    of_day = [event for event in events if event["event_date"] == DAY]
    in_month = [event for event in events if (DAY - event["event_date"]).days < 30]
    same(read(lake, "session_metrics"), ("session_id", "user_id"), daily.sessions(of_day))
    same(read(lake, "product_metrics"), ("product_id",), daily.products(of_day))
    behavior = {(user,): row for user, row in daily.behavior(in_month, DAY).items()}
    same(read(lake, "user_behavior_features"), ("user_id",), behavior)
    segments = read(lake, "user_segments").select("user_id", "segment")
    wanted = daily.segments(in_month, DAY)
    assert dict(segments.iter_rows()) == wanted
    assert set(wanted.values()) == {"vip", "loyal", "new", "at_risk", "dormant"}
    same(read(lake, "user_recommendation_features"), ("user_id",), daily.dearest(in_month))
    agree_on_related(read(lake, "related_products"), daily.related(in_month))
    (quality,) = read(lake, "quality_metrics").to_dicts()
    assert quality["total_events"] == len(of_day)
    processed = read(lake, "processed_events")
    known = processed.filter(pl.col("place").struct.field("country") == "KR")
    assert known.height == sum(event["ip"] == "203.0.113.9" for event in of_day) > 0
    assert {"ip", "user_agent"}.isdisjoint(processed.columns)
    totals = read(lake, "transaction_totals").select("status", "transactions", "total_amount")
    assert sorted(totals.iter_rows()) == [("completed", 1, 30.0), ("refunded", 1, 20.0)]


def agree_on_related(table: pl.DataFrame, wanted: daily.Rows) -> None:
    assert table.height == len(wanted) > 0
    for row in table.to_dicts():
        other = wanted[(row["product_id"],)]
        assert row["user_count"] == other["user_count"]
        assert [(one["product_id"], one["users"]) for one in row["products"]] == [
            (product, users) for product, users, _ in other["products"]
        ]
        scores = [one["score"] for one in row["products"]]
        assert scores == pytest.approx([score for *_, score in other["products"]])


def same(table: pl.DataFrame, key: tuple[str, ...], wanted: daily.Rows) -> None:
    found = {tuple(row[name] for name in key): row for row in table.to_dicts()}
    assert found.keys() == wanted.keys()
    assert wanted
    for entity, row in wanted.items():
        for name, value in row.items():
            near = pytest.approx(value) if isinstance(value, float) else value
            assert found[entity][name] == near, (entity, name)


def shopping(rng: Random, count: int) -> list[dict[str, Any]]:
    """Events of 40 days, of users who come often, seldom, lately, or no longer; some anonymous."""
    users = {f"user-{n}": rng.choice([(0, 40), (0, 3), (12, 20), (22, 35)]) for n in range(20)}
    found = []
    for number in range(count):
        user = rng.choice(list(users))
        ago = rng.randint(*users[user]) if number % 4 else 0
        at = datetime(2026, 3, 31, tzinfo=UTC) - timedelta(days=ago)
        at += timedelta(seconds=rng.randint(0, 86_399))
        found.append(event(rng, number, user, at))
    return [one for one in found if one["event_date"] != DAY or users_today(one, users)]


def users_today(one: dict[str, Any], users: dict[str, tuple[int, int]]) -> bool:
    return one["user_id"] is None or users[one["user_id"]][0] == 0


def event(rng: Random, number: int, user: str, at: datetime) -> dict[str, Any]:
    kind = rng.choice(TYPES)
    buys = kind == "purchase"
    products = [f"product-{rng.randint(0, 9)}" for _ in range(rng.randint(1, 3))]
    item = {"quantity": 1, "unit_price": 5.0}
    return {
        "event_id": f"event-{number}",
        "event_at": at,
        "event_date": at.date(),
        "user_id": None if number % 11 == 0 and not buys else user,
        "session_id": None if number % 13 == 0 else f"{user}-{at.date()}",
        "event_type": kind,
        "device_type": rng.choice([None, "mobile", "desktop"]),
        "product_id": rng.choice(products) if kind not in ("page_view", "search") else None,
        "category": rng.choice([None, "shoes", "책"]),
        "total_amount": rng.choice([None, 10.0, 25.5]) if buys else None,
        "items": [{**item, "product_id": one} for one in products] if buys and number % 2 else None,
        "ip": rng.choice([None, "203.0.113.9", "not an address"]),
        "user_agent": None,
    }


def paid() -> list[dict[str, Any]]:
    """A payment that changes its status, and one that stays."""
    at = datetime(2026, 3, 31, 12, tzinfo=UTC)
    rows = [
        ("t-1", "pending", 0, 20.0),
        ("t-1", "refunded", 5, 20.0),
        ("t-2", "completed", 1, 30.0),
    ]
    items = [{"product_id": "product-1", "quantity": 2, "price": 5.0, "category": None}]
    return [
        {
            "event_id": f"{transaction}-{status}",
            "event_at": at + timedelta(minutes=minute),
            "event_date": DAY,
            "transaction_id": transaction,
            "user_id": "user-1",
            "order_items": items,
            "total_amount": amount,
            "currency": "KRW",
            "payment_method": "card",
            "status": status,
        }
        for transaction, status, minute, amount in rows
    ]


def load_days(url: str, topic: str, rows: Iterable[dict[str, Any]]) -> None:
    """Each event under its day, and one of them, with other values, under a later one too."""
    events = {row["event_id"]: row for row in rows}
    copy = {**next(iter(events.values())), "event_type": "click", "total_amount": 1e6}
    days = {row["event_date"] for row in events.values()}
    for day in sorted(days):
        of_day = [without_nulls(row) for row in events.values() if row["event_date"] == day]
        load(url, of_day, day=day, topic=topic, at=lambda one: events[one["event_id"]]["event_at"])
    later = max(days) + timedelta(days=1)
    load(url, [without_nulls(copy)], day=later, topic=topic, at=lambda _: copy["event_at"])


def without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    """As a load writes it; its times are columns of their own."""
    times = ("event_at", "event_date")
    return {name: value for name, value in row.items() if value is not None and name not in times}


def run(home: Path) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-m", "infra", "daily", "--date", DAY.isoformat(), "--json"],
        env={
            **os.environ,
            "USERFLOW_HOME": str(home),
            "PYTHONPATH": str(REPOSITORY),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return {table: rows for job in json.loads(done.stdout) for table, rows in job["rows"].items()}


def read(lake: Path, name: str) -> pl.DataFrame:
    table = pl.read_delta(f"{lake}/batch/{name}")
    assert table["run_date"].unique().to_list() == [DAY]
    return table.sort(
        [c for c, kind in table.schema.items() if not kind.is_nested()], nulls_last=True
    )
