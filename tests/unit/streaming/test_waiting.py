"""A queue gives out every row once, when its time has passed, in order."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spark_state import Store, each_call

from streaming.state import segments, waiting
from streaming.state.waiting import Queue, Waiting

SCHEMA = {"event_at": pl.Int64, "number": pl.Int64}


def rows(*times: int, first: int = 0) -> pl.DataFrame:
    return pl.DataFrame(
        [(at, first + place) for place, at in enumerate(times)], schema=SCHEMA, orient="row"
    )


def queue_in(store: Store) -> Any:
    return each_call(store, lambda state: Waiting(state, SCHEMA))


@given(st.lists(st.tuples(st.lists(st.integers(0, 30), max_size=5), st.integers(0, 8))), st.data())
@settings(max_examples=100, deadline=None)
def test_rows_come_out_as_of_a_sorted_list(
    steps: list[tuple[list[int], int]], data: st.DataObject
) -> None:
    store, queue, left, now = Store(), Queue(), [], 0
    for ahead, passed in steps:
        if data.draw(st.booleans()):
            segments.forget()
        now += passed
        taken = queue_in(store).take(queue, now)
        assert taken["event_at"].to_list() == sorted(at for at in left if at < now)
        left = [at for at in left if at >= now]
        new = [now + more for more in ahead]
        queue_in(store).put(queue, rows(*new))
        left += new
        assert queue.first == min(left, default=None)
    assert queue_in(store).take(queue, 1000)["event_at"].to_list() == sorted(left)
    assert store.blobs == {}


def test_many_small_ones_become_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST_SEGMENTS", 4)
    store, queue = Store(), Queue()
    for number in range(5):
        queue_in(store).put(queue, rows(number * 10, number * 10 + 5, first=2 * number))
        if number == 1:
            assert queue_in(store).take(queue, 12)["number"].to_list() == [0, 1, 2]
    assert (len(queue.parts), len(store.blobs)) == (4, 4)
    queue_in(store).put(queue, rows(50, first=10))
    assert (len(queue.parts), queue.first) == (1, 15)
    assert queue_in(store).take(queue, 60)["number"].to_list() == list(range(3, 11))
