"""A windowed view on a state store: epochs in any order of arrival, restarts, new features."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from older_tiles import of_an_older_version
from oracle.windows import windowed
from spark_state import Restarted, Store

import features.distinct
import streaming.distinct
import streaming.windowed
from features import windowed_step
from features.sketches import MOST_VALUES
from features.window_set import WindowSet
from features.windows import Aggregation, Grid, Kind, Latest, windows
from streaming.state import records
from streaming.state.records import ROW, Book, Found, Records
from streaming.state.store import State
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


COUNT, TOTAL, TOP, KINDS = (
    grid("count", Kind.COUNT),
    grid("total", Kind.SUM, "price"),
    grid("top_kind", Kind.MOST, "kind"),
    grid("kinds", Kind.DISTINCT, "kind"),
)
LAST = Latest(name="recent", of="kind", most=2, doc="The last two.")
SHOPS = WindowSet(("shop_id",), (COUNT, TOTAL, TOP, KINDS), latest=(LAST,))


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
    assert done.capped == ["책방"]


def test_of_one_with_too_many_values_all_are_read_and_some_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Epochs know the values of their own events; only to thin them they see the others."""
    for module in (features.distinct, streaming.distinct):
        monkeypatch.setattr(module, "MOST_VALUES", 50)
    kinds = WindowSet(("shop_id",), (KINDS,))
    store, capped = Store(), 0
    for first in range(0, 300, 20):
        some = [event(n, NOW, "책방", f"kind {n}") for n in range(first, first + 20)]
        few = [event(n, NOW, "b", f"kind {n % 40}") for n in range(first, first + 20)]
        done = keeper(store, kinds).step(frame(*some, *few), NOW, is_exact=False)
        capped += len(done.capped)
    shown = dict(done.rows.select("shop_id", "kinds_24h").rows())
    assert shown["b"] == 40
    assert 100 < shown["책방"] < 900
    assert 0 < capped < 15
    left = keeper(store, kinds).step(frame(), NOW + 26 * HOUR, is_exact=True)
    assert (left.rows["kinds_24h"].to_list(), store.blobs) == ([0, 0], {})


@given(logs(), logs())
@settings(max_examples=10, deadline=None)
def test_state_of_an_older_version_goes_on(before: list[Event], after: list[Event]) -> None:
    """Rows of fine tiles stood in coarse ones too, and distinct values beside them."""
    after = [one | {"event_id": f"later {one['event_id']}"} for one in after]
    watermark = NOW - 30 * HOUR
    nothing = windowed_step.empty(SHOPS, frame())
    known = windowed_step.step(SHOPS, nothing, frame(*before), watermark)
    older = of_an_older_version(SHOPS, known.state.tiles)
    numbers = older.numbers.drop(n for n in older.numbers.columns if n.startswith("distinct("))
    store = Store()
    entities = known.state.entities
    with_rows = [
        part.join(entities.with_row_index(ROW).select(ROW, "shop_id"), on="shop_id").sort(ROW)
        for part in (numbers, older.values, older.events)
    ]
    stored = Found(entities, tuple(part.drop("shop_id") for part in with_rows))
    state = State(store)  # type: ignore[arg-type]
    schemas = [frame.schema for frame in (stored.records, *stored.parts)]
    parts = [{name: t for name, t in one.items() if name != ROW} for one in schemas[1:]]
    with state.opened():
        book = state.cell("shops entities", Book)
        table = book.get()
        Records(state, ("shop_id",), schemas[0], parts).add(table, stored)
        book.put(table)
    stepped = keeper(store).step(frame(*after), watermark, is_exact=True)
    for row in stepped.rows.to_dicts():
        mine = [one for one in [*before, *after] if one["shop_id"] == row["shop_id"]]
        wanted = windowed(SHOPS, mine, max(one["event_at"] for one in mine))
        assert {name: row[name] for name in wanted} == wanted


def test_values_with_the_same_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_values(key: Any, rows: pl.DataFrame) -> Any:
        return np.zeros(rows.height, np.uint64) if len(key.names) > 1 else hashes(key, rows)

    hashes = records._Key.hashes
    monkeypatch.setattr(records._Key, "hashes", of_values)
    store = Store()
    first = [event(1, NOW), event(2, NOW - 25 * HOUR, "b"), event(3, NOW, "d")]
    keeper(store).step(frame(*first), 0, is_exact=True)
    keeper(store).step(frame(event(4, NOW - HOUR, "c")), NOW - HOUR, is_exact=True)
    shown = {}
    for more in ([event(5, NOW, kind="y"), event(6, NOW, "c")], [event(7, NOW, "d")]):
        rows = keeper(store).step(frame(*more), NOW, is_exact=True).rows
        shown |= dict(rows.select("shop_id", "kinds_24h").rows())
    assert shown == {"a": 2, "c": 1, "d": 1}
    due = keeper(store).step(frame(), NOW + 26 * HOUR, is_exact=True)
    assert (due.rows["kinds_24h"].to_list(), store.blobs) == ([0, 0, 0], {})
