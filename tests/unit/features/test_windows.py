"""Windows equal the slow way, for any order and split of the same events."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from older_tiles import of_an_older_version
from oracle.windows import product_rows, shopping_rows, windowed

from features.commerce_product import COMMERCE_PRODUCT, of_products
from features.commerce_user import COMMERCE_USER, ITEM, shopping
from features.dimensions import PRODUCTS, no_dimensions
from features.older_tiles import adopted
from features.session_set import LIFETIME_US
from features.tiles import Tiles
from features.window_set import WindowSet
from features.windowed_step import DUE, WindowedState, empty, step
from features.windows import Aggregation, Grid, Kind, Latest, Window, windows

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
NOW = 1_790_000_000 * SECOND
SCHEMA = {
    "event_id": pl.String,
    "event_at": pl.Int64,
    "user_id": pl.String,
    "event_type": pl.String,
    "product_id": pl.String,
    "category": pl.String,
    "price": pl.Float64,
    "total_amount": pl.Float64,
    "device_type": pl.String,
    "platform": pl.String,
    "items": pl.List(
        pl.Struct({"product_id": pl.String, "quantity": pl.Int64, "unit_price": pl.Float64})
    ),
}
CATEGORIES = {"p1": "tea", "p2": "books"}
KNOWN = no_dimensions()._replace(
    products=pl.DataFrame(list(CATEGORIES.items()), schema=PRODUCTS, orient="row")
)
TYPES = ["product_view", "click", "add_to_cart", "remove_from_cart", "purchase", "search"]
Event = dict[str, Any]


def ages() -> st.SearchStrategy[int]:
    """Near the edges of windows and tiles, where mistakes live."""
    edges = [0, 10 * SECOND, 300 * SECOND, 600 * SECOND, 1800 * SECOND, HOUR, DAY, 7 * DAY]
    near = st.tuples(st.sampled_from([*edges, 30 * DAY]), st.integers(-20, 20)).map(
        lambda pair: max(0, pair[0] + pair[1] * SECOND)
    )
    return near | st.integers(0, 31 * DAY)


def items() -> st.SearchStrategy[dict[str, Any]]:
    products = st.sampled_from(["p1", "p2", "p3", "p4"])
    return st.fixed_dictionaries({"product_id": products, "quantity": st.just(1)})


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    size = draw(st.integers(1, 25))
    return [
        {
            "event_id": f"e{number}",
            "event_at": NOW - draw(ages()),
            "user_id": draw(st.sampled_from(["a", "b", "한국", None])),
            "event_type": draw(st.sampled_from(TYPES)),
            "product_id": draw(st.sampled_from(["p1", "p2", "p3", None])),
            "category": draw(st.sampled_from(["tea", "cups", None])),
            "price": draw(st.none() | st.floats(0, 1e6)),
            "total_amount": draw(st.none() | st.floats(0, 1e6)),
            "device_type": draw(st.sampled_from(["mobile", "tablet", None])),
            "platform": draw(st.sampled_from(["ios", "web", None])),
            "items": draw(st.none() | st.lists(items(), max_size=3)),
        }
        for number in range(size)
    ]


def frame(events: Sequence[Event]) -> pl.DataFrame:
    rows = shopping(pl.DataFrame(list(events), schema=SCHEMA), KNOWN)
    return rows.with_columns(sign=pl.lit(1, pl.Int64), pattern_detected=pl.lit(None, pl.String))


def ends(events: Sequence[Event], watermark: int) -> dict[str, int]:
    """`t` of each user: the later of the last event and the watermark."""
    found: dict[str, int] = {}
    for event in events:
        if event["user_id"] is not None:
            user = event["user_id"]
            found[user] = max(found.get(user, watermark), event["event_at"])
    return found


def as_of(at: dict[str, int]) -> pl.DataFrame:
    schema = {"user_id": pl.String, "t": pl.Int64}
    return pl.DataFrame(list(at.items()), schema=schema, orient="row")


def finished(tiles: Tiles, at: dict[str, int]) -> dict[str, Event]:
    rows = COMMERCE_USER.finish(tiles, as_of(at)).to_dicts()
    return {row.pop("user_id"): row for row in rows}


def same(found: Any, expected: Any) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-9)
    return bool(found == expected)


def assert_same(found: dict[str, Event], events: Sequence[Event], at: dict[str, int]) -> None:
    assert set(found) == set(at)
    for user, t in at.items():
        mine = [event for event in events if event["user_id"] == user]
        rows = [row | {"pattern_detected": None} for row in shopping_rows(mine, CATEGORIES)]
        expected = windowed(COMMERCE_USER, rows, t)
        pairs = {name: (found[user][name], value) for name, value in expected.items()}
        assert not {name: pair for name, pair in pairs.items() if not same(*pair)}, user


@given(logs(), st.integers(0, 2 * HOUR), st.data())
@settings(max_examples=6, deadline=None)
def test_any_order_and_split_gives_what_the_slow_way_gives(
    events: list[Event], passed: int, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(events))
    cut = data.draw(st.integers(0, len(events)))
    parts = [COMMERCE_USER.start(frame(part)) for part in (shuffled[:cut], shuffled[cut:])]
    at = ends(events, NOW - 31 * DAY + passed)
    assert_same(finished(COMMERCE_USER.merge(parts), at), events, at)


@given(logs(), st.integers(0, 31 * DAY))
@settings(max_examples=6, deadline=None)
def test_what_is_evicted_is_missed_by_nobody(events: list[Event], passed: int) -> None:
    watermark = NOW + passed
    tiles = COMMERCE_USER.evict(COMMERCE_USER.start(frame(events)), watermark)
    at = ends(events, watermark)
    assert_same(finished(tiles, at), events, at)


@given(logs(), st.integers(0, 31 * DAY))
@settings(max_examples=6, deadline=None)
def test_a_row_changes_when_it_is_due_and_not_before(events: list[Event], passed: int) -> None:
    tiles = COMMERCE_USER.start(frame(events))
    at = ends(events, NOW + passed - 31 * DAY)
    due = dict(COMMERCE_USER.due(tiles, as_of(at)).iter_rows())
    before = {user: t - 1 for user, t in due.items() if t is not None}
    rows = finished(tiles, at)
    assert finished(tiles, before) == {user: rows[user] for user in before}


def test_windows_say_how_wide_they_are_and_of_which_tiles() -> None:
    assert [Window(name).width_us // SECOND for name in ("5m", "1h", "24h", "30d")] == [
        300, 3600, 86_400, 30 * 86_400,
    ]  # fmt: skip
    assert [Window(name).tile_us // SECOND for name in ("1h", "24h")] == [10, 3600]


def test_a_page_of_declarations_is_a_hundred_features() -> None:
    names = [column.name for column in COMMERCE_USER.columns]
    assert len(names) == len(set(names)) == 16 * 7 + 6
    assert "view_count_1h" in names
    assert "top_category_30m" in names


@given(logs(), st.integers(0, 31 * DAY))
@settings(max_examples=6, deadline=None)
def test_of_a_purchase_each_product_counts_once(events: list[Event], passed: int) -> None:
    log = pl.DataFrame(events, schema=SCHEMA)
    tiles = COMMERCE_PRODUCT.start(of_products(log, KNOWN))
    slow = product_rows(events, CATEGORIES)
    at = {
        product: max(NOW - 31 * DAY + passed, *(row["event_at"] for row in rows))
        for product, rows in slow.items()
    }
    schema = {"product_id": pl.String, "t": pl.Int64}
    as_of = pl.DataFrame(list(at.items()), schema=schema, orient="row")
    found = {row["product_id"]: row for row in COMMERCE_PRODUCT.finish(tiles, as_of).to_dicts()}
    assert found.keys() == slow.keys()
    for product, rows in slow.items():
        for name, value in windowed(COMMERCE_PRODUCT, rows, at[product]).items():
            wanted = float(value) if name == "price" and value is not None else value
            assert same(found[product][name], wanted), (product, name)


@given(logs(), st.data())
@settings(max_examples=6, deadline=None)
def test_step_by_step_the_last_row_of_each_entity_is_the_slow_way_s(
    events: list[Event], data: st.DataObject
) -> None:
    """Batches in any order of arrival, a watermark that grows between them, and a last sweep."""
    left = data.draw(st.permutations(events))
    watermark = min(event["event_at"] for event in left) - 40 * DAY
    state = empty(COMMERCE_USER, frame([]))
    shown: dict[str, Event] = {}
    while left:
        size = data.draw(st.integers(1, len(left)))
        batch, left = left[:size], left[size:]
        state = emitted(state, batch, watermark, shown)
        oldest = min((event["event_at"] for event in left), default=watermark)
        watermark = max(watermark, data.draw(st.integers(oldest - 2 * DAY, oldest)))
    watermark = max(watermark, NOW + data.draw(st.sampled_from([0, 90 * SECOND, DAY, 40 * DAY])))
    state = emitted(state, [], watermark, shown)
    assert_same(shown, events, ends(events, watermark))
    assert state.entities[DUE].null_count() == 0
    if watermark > NOW + 31 * DAY:
        assert state.entities.is_empty()
        assert state.tiles.numbers.is_empty()
        assert state.tiles.values.is_empty()
        assert state.tiles.distinct.is_empty()


def emitted(
    state: WindowedState, batch: list[Event], watermark: int, shown: dict[str, Event]
) -> WindowedState:
    done = step(COMMERCE_USER, state, frame(batch), watermark)
    touched = {event["user_id"] for event in batch} - {None}
    for row in done.rows.to_dicts():
        user = row.pop("user_id")
        assert row.pop("by_event") is (user in touched)
        row.pop("event_at")
        shown[user] = row
    assert done.next_due is None or done.next_due > watermark
    return done.state


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_of_equal_counts_the_more_recent_event_decides(order: tuple[int, ...]) -> None:
    clicks = [("e1", "tea", 3), ("e2", "cups", 4), ("e3", "cups", 1), ("e4", "tea", 4)]
    events = [
        {
            "event_id": event_id,
            "event_at": NOW + second * SECOND,
            "user_id": "a",
            "event_type": "click",
            "category": category,
        }
        for event_id, category, second in clicks
    ]
    top = [grid for grid in COMMERCE_USER.grids if grid.name == "top_category"]
    only = WindowSet(("user_id",), top)
    tiles = only.merge(only.start(frame([events[i]])) for i in order)
    row = only.finish(tiles, as_of({"a": NOW + 5 * SECOND})).row(0, named=True)
    assert row["top_category_30m"] == "tea"


READS = WindowSet(
    ("user_id",),
    [
        Grid(
            name=name,
            aggregation=Aggregation(kind=kind, of=of, signed=True),
            windows=windows("1h 24h"),
            doc="Some.",
        )
        for name, kind, of in (
            ("count", Kind.COUNT, None),
            ("mean", Kind.MEAN, "price"),
            ("distinct", Kind.DISTINCT, "category"),
            ("products", Kind.DISTINCT, "product_id"),
            ("top", Kind.MOST, "category"),
        )
    ],
    latest=[
        Latest(name="recent", of="category", most=2, signed=True, doc="The last two."),
        Latest(name="last", of="category", signed=True, doc="The last one."),
    ],
)


@given(logs(), st.sets(st.integers(0, 24)), st.data())
@settings(max_examples=15, deadline=None)
def test_what_is_taken_back_has_never_been_there(
    events: list[Event], taken: set[int], data: st.DataObject
) -> None:
    """A row is taken back after it came, in whatever steps."""
    for event in events:  # numbers that binary fractions add and take back without a rest
        event["price"] = event["price"] and event["price"] // 0.25 * 0.25
    plus = frame(events).filter(pl.col("event_type") != ITEM)
    gone = [f"e{number}" for number in taken]
    minus = plus.filter(pl.col("event_id").is_in(gone)).with_columns(sign=pl.lit(-1, pl.Int64))
    come, go = data.draw(st.permutations([*plus.iter_slices(3)])), [*minus.iter_slices(2)]
    steps = [*come, *data.draw(st.permutations(go))]
    state, watermark = empty(READS, plus), min(e["event_at"] for e in events)
    upgraded = data.draw(st.integers(0, len(steps)))
    for number, rows in enumerate(steps):
        if number == upgraded:
            older = of_an_older_version(READS, state.tiles)
            state = WindowedState(adopted(READS, older), state.entities)
        state = step(READS, state, rows, watermark).state
    left = [event for event in events if event["event_id"] not in gone]
    at = ends(left, NOW)
    rows = READS.finish(state.tiles, as_of(at)).to_dicts()
    shown = {row.pop("user_id"): row for row in rows}
    for user, t in at.items():
        known = shopping_rows([e for e in left if e["user_id"] == user], CATEGORIES)
        mine = [row for row in known if row["event_type"] != ITEM]
        expected = windowed(READS, mine, t)
        assert not [name for name, value in expected.items() if not same(shown[user][name], value)]
    # Once nothing can be taken back only the last values are left, and are the same.
    settled = READS.evict(state.tiles, NOW + 2 * LIFETIME_US)
    assert settled.events.group_by("user_id").len()["len"].max() in {None, 1, 2}
    again = {row["user_id"]: row for row in READS.finish(settled, as_of(at)).to_dicts()}
    assert all(again[user][name] == shown[user][name] for user in at for name in ("recent", "last"))


def test_a_tile_of_which_all_is_taken_back_goes_unless_it_is_the_last() -> None:
    click = {"event_id": "e1", "user_id": "a", "event_type": "click", "category": "tea"}
    first, later = (frame([{**click, "event_at": at}]) for at in (NOW, NOW + 60 * SECOND))
    back = pl.lit(-1, pl.Int64).alias("sign")
    tiles = READS.start(first)
    moved = READS.add(tiles, pl.concat([first.with_columns(back), later]))
    assert moved.numbers.select("tile", "count(*; ; signed)").rows() == [(NOW + 60 * SECOND, 1)]
    gone = READS.add(moved, later.with_columns(back))
    assert gone.numbers.select("tile", "count(*; ; signed)").rows() == [(NOW + 60 * SECOND, 0)]


def test_of_what_may_be_taken_back_no_extreme_can_be_kept() -> None:
    smallest = Aggregation(kind=Kind.MIN, of="price", signed=True)
    with pytest.raises(ValueError, match="no minimum or maximum"):
        WindowSet(("a",), [Grid(name="x", aggregation=smallest, windows=windows("1h"), doc="")])


def test_nothing_comes_of_nothing() -> None:
    empty = COMMERCE_USER.start(frame([]))
    assert empty.numbers.is_empty()
    assert COMMERCE_USER.merge([empty, empty]).values.is_empty()
    row = finished(empty, {"a": NOW})["a"]
    assert row["view_count_1h"] == row["unique_product_count_30d"] == 0
    assert row["purchase_amount_5m"] == 0.0
    assert (
        row["avg_viewed_price_1h"] is row["top_category_30m"] is row["cart_to_view_rate_1h"] is None
    )


def test_an_absurd_price_leaves_sums_finite_and_others_as_they_are() -> None:
    absurd = {"event_id": "e1", "event_at": NOW, "user_id": "a", "event_type": "purchase"}
    log = [{**absurd, "event_id": f"e{n}", "total_amount": 1.5e308} for n in range(2)]
    row = finished(COMMERCE_USER.start(frame(log)), {"a": NOW})["a"]
    assert row["purchase_amount_5m"] == sys.float_info.max
    assert row["avg_order_value_5m"] == sys.float_info.max / 2
    one = finished(COMMERCE_USER.start(frame(log[:1])), {"a": NOW})["a"]
    assert one["purchase_amount_5m"] == 1.5e308


def test_what_is_taken_back_takes_nothing_else_along() -> None:
    def read(price: float, sign: int) -> pl.DataFrame:
        event = {"event_id": str(price), "event_at": NOW, "user_id": "a", "price": price}
        return frame([event]).with_columns(sign=pl.lit(sign, pl.Int64))

    tiles = READS.merge(map(READS.start, [read(1.25, 1), read(1.5e308, 1), read(1.5e308, -1)]))
    assert READS.finish(tiles, as_of({"a": NOW}))["mean_1h"].to_list() == [1.25]
