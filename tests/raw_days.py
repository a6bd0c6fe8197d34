"""Days of raw.events for tests: simulated ones, unlucky ones, and how they are loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import polars as pl
import psycopg
from oracle.marts import RawEvent
from psycopg.types.json import Jsonb

from features.contract import Contract
from features.contracts.commerce import COMMERCE
from features.contracts.webtoon import WEBTOON
from features.decoding import Decoder
from features.encoding import to_json
from producer.simulate import Simulation, simulate

__all__ = ["load", "simulated", "unlucky"]

OF_DOMAIN = {"commerce": COMMERCE, "webtoon": WEBTOON}
INSERT = """
INSERT INTO raw.events (
    run_date, topic, event_id, event_type, user_id, session_id, event_at, event, run_id, loaded_at
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'run', now())"""


def simulated(run_date: date, start: datetime, *, seed: int, count: int = 500) -> list[RawEvent]:
    """An hour of shoppers and readers, as one run date loads it."""
    found = []
    for domain, contract in OF_DOMAIN.items():
        simulation = Simulation(
            domain=domain,
            rate=count / 3600,
            duration=3600,
            users=20,
            seed=seed,
            start_us=round(start.timestamp() * 1e6),
        )
        sent = list(simulate(simulation))
        found += canonical(run_date, contract, [one.value for one in sent], start)
    return found


def unlucky(day: date) -> list[RawEvent]:
    """What goes wrong in shops, and is right."""

    def event(number: int, kind: str, **fields: Any) -> dict[str, Any]:
        at = f"{day}T{number:02}:00:00.000001Z"
        return {"event_id": f"{day}-{number}", "event_type": kind, "timestamp": at, **fields}

    me = {"user_id": "사용자 '1'", "session_id": 'ss"1%'}
    item = {"product_id": "상품;--", "quantity": 3, "unit_price": 0.1}
    events = [
        event(1, "page_view", page_url="/", user_id=None),
        event(2, "search", search_query="신발", **me),
        event(3, "product_view", product_id="상품;--", platform="ios", **me),
        event(4, "click", element_id="b", user_id="no session"),
        # A purchase without a cart, with a product twice and another without a price.
        event(5, "purchase", order_id="o1", total_amount=9, discount=0.1, platform="ios", **me)
        | {"items": [item, item, {"product_id": "free", "quantity": 1}]},
        event(6, "purchase", order_id="o1", price=5, product_id="again", **me),
        event(7, "purchase", order_id="o2", product_id="no price", total_amount=5, **me)
        | {"shipping_fee": 10},
        event(8, "purchase", order_id="o3", product_id="no money", items=[], **me),
        event(9, "add_to_cart", product_id="many", quantity=2**62, **me),
        event(10, "add_to_cart", product_id="many", quantity=2**62, **me),
        event(11, "purchase", order_id="o4", total_amount=1e308, user_id="rich"),
        event(12, "purchase", order_id="o5", total_amount=1e308, user_id="rich"),
        # A public data set knows neither order nor time zone.
        {"event_time": f"{day} 13:00:00", "event_type": "purchase", "user_id": 7, "price": 0.3},
    ]
    return canonical(day, COMMERCE, [msgspec.json.encode(one) for one in events])


def canonical(
    run_date: date, contract: Contract, values: Sequence[bytes], now: datetime | None = None
) -> list[RawEvent]:
    """Events as a load writes them: in the form of their contract."""
    at = now or datetime.combine(run_date, datetime.min.time(), UTC) + timedelta(days=1)
    received = pl.Series([round((at + timedelta(hours=2)).timestamp() * 1e6)] * len(values))
    decoded = Decoder(contract).decode(values, received)
    assert not decoded.rejects.height, decoded.rejects["reason"].to_list()
    events = decoded.events.drop("row").unique("event_id", maintain_order=True)
    texts = to_json(contract, events.with_columns(pl.col("event_at").cast(pl.Int64)))
    identity = ("event_id", "event_type", "user_id", "session_id", "event_at")
    rows = events.select(identity).iter_rows(named=True)
    return [
        RawEvent(run_date=run_date, topic=contract.topic, event=msgspec.json.decode(text), **row)
        for row, text in zip(rows, texts, strict=True)
    ]


def load(connection: psycopg.Connection, run_date: date, events: Iterable[RawEvent]) -> None:
    """Replace what stands in raw.events of a run date."""
    name, after = f"raw.events_{run_date:%Y%m%d}", run_date + timedelta(days=1)
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF raw.events "
        f"FOR VALUES FROM ('{run_date}') TO ('{after}')"
    )
    connection.execute("DELETE FROM raw.events WHERE run_date = %s", [run_date])
    identity = ("topic", "event_id", "event_type", "user_id", "session_id", "event_at")
    rows = [
        (run_date, *(getattr(event, name) for name in identity), Jsonb(event.event))
        for event in events
    ]
    connection.cursor().executemany(INSERT, rows)
    connection.commit()
