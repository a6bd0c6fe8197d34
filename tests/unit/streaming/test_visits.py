"""A view of sessions on a state store: what a new process finds, and what an epoch touches."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.shop_sessions import derived_sessions
from spark_state import Restarted, Store

from features.commerce_sessions import DERIVED_SESSION
from streaming.visits import SessionKeeper, Stepped

MINUTE = 60_000_000
SCHEMA = {"user_id": pl.String, "event_id": pl.String, "event_at": pl.Int64}
Event = dict[str, Any]


def keeper(store: Store) -> Restarted:
    return Restarted(store, lambda state: SessionKeeper("derived", DERIVED_SESSION, state))


def changes(stepped: Stepped) -> pl.DataFrame:
    return DERIVED_SESSION.changes(stepped.step)


def frame(*events: Event) -> pl.DataFrame:
    return pl.DataFrame(list(events), schema=SCHEMA)


def event(number: int, user: str, at: int) -> Event:
    return {"user_id": user, "event_id": f"e{number:03}", "event_at": at}


minutes = st.integers(0, 100) | st.sampled_from([10, 20, 30])
logs = st.lists(st.tuples(st.sampled_from("ab한"), minutes), min_size=1, max_size=30).map(
    lambda found: [event(n, user, m * MINUTE) for n, (user, m) in enumerate(found)]
)


@given(logs, st.data())
@settings(max_examples=60, deadline=None)
def test_the_rows_that_are_left_are_those_of_the_slow_way(
    log: list[Event], data: st.DataObject
) -> None:
    """Events in any order; a session that a late event joins to another is gone."""
    store, shown = Store(), {}
    left = data.draw(st.permutations(log))
    while left:
        size = data.draw(st.integers(1, len(left)))
        batch, left = left[:size], left[size:]
        stepped = keeper(store).step(frame(*batch), -1)
        for key in stepped.step.gone.select("user_id", "session_start").iter_rows():
            del shown[key]
        for row in stepped.rows.to_dicts():
            shown[row["user_id"], row["session_start"]] = row
    wanted = derived_sessions(log)
    assert shown.keys() == wanted.keys()
    for key, row in wanted.items():
        assert {name: shown[key][name] for name in row} == row
    assert stepped.live == len(wanted)


@given(logs, st.data())
@settings(max_examples=30, deadline=None)
def test_what_changed_sums_up_to_what_is_there(log: list[Event], data: st.DataObject) -> None:
    store, cut = Store(), data.draw(st.integers(0, len(log)))
    steps = [keeper(store).step(frame(*part), -1) for part in (log[:cut], log[cut:])]
    changed = pl.concat(map(changes, steps))
    totals = changed.group_by("user_id", "started_at", "ended_at").agg(pl.col("sign").sum())
    left = totals.filter(pl.col("sign") != 0)
    assert left["sign"].to_list() == [1] * left.height
    assert {(user, start) for user, start, *_ in left.iter_rows()} == derived_sessions(log).keys()


def test_sessions_are_let_go_when_nothing_can_reach_them() -> None:
    store = Store()
    keeper(store).step(frame(event(1, "a", 0)), -1)
    alive = keeper(store).step(frame(), 30 * MINUTE)
    assert (alive.live, alive.next_due) == (1, 30 * MINUTE)
    gone = keeper(store).step(frame(), 30 * MINUTE + 1)
    assert (gone.live, gone.next_due, gone.step.gone.height) == (0, None, 0)
    assert store.blobs == {}


def test_an_event_that_no_session_can_take_is_late() -> None:
    stepped = keeper(Store()).step(frame(event(1, "a", 0)), 31 * MINUTE)
    assert (stepped.step.late.height, stepped.live) == (1, 0)
