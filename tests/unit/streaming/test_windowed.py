"""A windowed view on a state store: epochs in any order of arrival, restarts, new features."""

from __future__ import annotations

from typing import Any
from unittest import mock

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.windows import windowed
from spark_state import Restarted, Store

import streaming.windowed
from features.sketches import MOST_VALUES
from features.window_set import WindowSet
from features.windows import Aggregation, Grid, Kind, Latest, windows
from streaming.windowed import SLOT_US, WindowedKeeper

SECOND = 1_000_000
HOUR = 3600 * SECOND
NOW = 1_790_000_000 * SECOND
SCHEMA = {
    "event_id": pl.String,
    "event_at": pl.Int64,
    "shop_id": pl.String,
    "kind": pl.String,
    "price": pl.Float64,
}
SHORT = windows("5m 24h")
Event = dict[str, Any]


def grid(name: str, kind: Kind, of: str | None = None) -> Grid:
    return Grid(name=name, aggregation=Aggregation(kind=kind, of=of), windows=SHORT, doc="Some.")


COUNT, TOTAL, TOP = (
    grid("count", Kind.COUNT),
    grid("total", Kind.SUM, "price"),
    grid("top_kind", Kind.MOST, "kind"),
)
LAST = Latest(name="recent", of="kind", most=2, doc="The last two.")
SHOPS = WindowSet(("shop_id",), (COUNT, TOTAL, TOP), latest=(LAST,))


def keeper(store: Store, shops: WindowSet = SHOPS) -> Restarted:
    return Restarted(store, lambda state: WindowedKeeper("shops", shops, state))


def frame(*events: Event) -> pl.DataFrame:
    return pl.DataFrame(list(events), schema=SCHEMA)


def event(number: int, at: int, shop: str = "a", kind: str | None = "x") -> Event:
    return {
        "event_id": f"e{number:03}",
        "event_at": at,
        "shop_id": shop,
        "kind": kind,
        "price": 1.0,
    }


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    ages = st.integers(0, 400 * SECOND) | st.integers(0, 26 * HOUR)
    shops = st.sampled_from(["a", "b", "책방"])
    kinds = st.sampled_from(["x", "y", None])
    size = draw(st.integers(1, 20))
    return [event(n, NOW - draw(ages), draw(shops), draw(kinds)) for n in range(size)]


@given(logs(), st.data())
@settings(max_examples=40, deadline=None)
def test_the_last_rows_are_those_of_the_slow_way(log: list[Event], data: st.DataObject) -> None:
    """Every epoch has a new keeper: what it does not find in the store it does not know."""
    left = data.draw(st.permutations(log))
    least = data.draw(st.sampled_from([0, 1, 1000]))
    watermark = min(one["event_at"] for one in log) - HOUR
    store, shown = Store(), {}
    while left:
        size = data.draw(st.integers(1, len(left)))
        batch, left = left[:size], left[size:]
        is_exact = data.draw(st.booleans())
        with mock.patch("streaming.windowed.LEAST_DUE", least):
            stepped = keeper(store).step(frame(*batch), watermark, is_exact=is_exact)
        shown |= {row["shop_id"]: row for row in stepped.rows.to_dicts()}
        oldest = min((one["event_at"] for one in left), default=watermark)
        watermark = max(watermark, data.draw(st.integers(oldest - HOUR, oldest)))
    watermark = max(watermark, NOW + data.draw(st.sampled_from([0, 95 * SECOND, 30 * HOUR])))
    stepped = keeper(store).step(frame(), watermark, is_exact=True)
    shown |= {row["shop_id"]: row for row in stepped.rows.to_dicts()}
    for shop, row in shown.items():
        mine = [one for one in log if one["shop_id"] == shop]
        t = max(watermark, *(one["event_at"] for one in mine))
        wanted = windowed(SHOPS, mine, t)
        assert {name: row[name] for name in wanted} == wanted, shop
    if watermark > NOW + 25 * HOUR:
        assert (stepped.live, stepped.next_due, store.blobs) == (0, None, {})


def test_while_the_stream_runs_time_passes_slot_by_slot() -> None:
    store = Store()
    at = NOW // SLOT_US * SLOT_US + 10 * SECOND
    first = keeper(store).step(frame(event(1, at)), at, is_exact=False)
    leaves = at + 300 * SECOND
    assert first.next_due == leaves + 20 * SECOND - 1
    early = keeper(store).step(frame(), first.next_due, is_exact=False)
    assert early.rows.is_empty()
    due = keeper(store).step(frame(), first.next_due + 1, is_exact=False)
    assert due.rows.select("count_5m", "count_24h", "by_event").rows() == [(0, 1, False)]
    exact = keeper(store).step(frame(event(2, leaves)), leaves, is_exact=True)
    assert exact.next_due is not None


def test_what_time_changes_yields_to_fresh_events_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three shops are due; while another sells, one of them is put out with each epoch."""
    monkeypatch.setattr(streaming.windowed, "LEAST_DUE", 1)
    store = Store()
    at = NOW // SLOT_US * SLOT_US
    due = at + 300 * SECOND
    keeper(store).step(
        frame(*(event(n, at, shop) for n, shop in enumerate("abc"))), at, is_exact=False
    )
    behind, shown = [], set()
    for second in (0, 30, 31):
        now = due + second * SECOND
        busy = keeper(store).step(frame(event(10 + second, now, "z")), now, is_exact=False)
        shown |= set(busy.rows.filter(~pl.col("by_event"))["shop_id"])
        behind.append((len(shown), busy.behind_us // SECOND))
    assert behind == [(1, 0), (2, 30), (3, 0)]
    assert busy.next_due is not None
    assert busy.next_due >= due


@pytest.mark.parametrize(("shop", "seconds"), [("z", 300), (None, 0)])
def test_it_yields_for_five_minutes_at_most_and_only_to_events(
    monkeypatch: pytest.MonkeyPatch, shop: str | None, seconds: int
) -> None:
    monkeypatch.setattr(streaming.windowed, "LEAST_DUE", 1)
    store = Store()
    at = NOW // SLOT_US * SLOT_US
    keeper(store).step(
        frame(*(event(n, at, name) for n, name in enumerate("abc"))), at, is_exact=False
    )
    now = at + (300 + seconds) * SECOND
    fresh = frame(*([event(9, now, shop)] if shop else []))
    done = keeper(store).step(fresh, now, is_exact=False)
    assert set(done.rows.filter(~pl.col("by_event"))["shop_id"]) == set("abc")
    assert done.behind_us == 0


def test_a_feature_declared_later_starts_empty_and_the_others_go_on() -> None:
    store = Store()
    before = WindowSet(("shop_id",), (COUNT,))
    keeper(store, before).step(frame(event(1, NOW), event(2, NOW, "b")), 0, is_exact=False)
    keeper(store).step(frame(event(3, NOW)), 0, is_exact=False)
    stepped = keeper(store).step(frame(event(4, NOW), event(5, NOW, "b")), 0, is_exact=False)
    rows = {row["shop_id"]: row for row in stepped.rows.to_dicts()}
    assert (rows["a"]["count_24h"], rows["a"]["total_24h"]) == (3, 2.0)
    assert (rows["b"]["count_24h"], rows["b"]["total_24h"]) == (2, 1.0)
    again = keeper(store, before).step(frame(event(6, NOW)), 0, is_exact=False)
    assert again.rows["count_5m"].to_list() == [4]


def test_who_has_too_many_values_is_named() -> None:
    bot = [event(number, NOW - 1, "책방", f"kind {number}") for number in range(MOST_VALUES + 1)]
    done = keeper(Store()).step(frame(event(9999, NOW - 1), *bot), NOW, is_exact=True)
    # Once for each width of tiles.
    assert done.capped == ["책방", "책방"]
