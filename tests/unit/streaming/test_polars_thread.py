"""Work on the thread of polars: its result, its errors, and that it is that thread."""

from __future__ import annotations

import threading

import polars as pl
import pytest

from streaming.polars_thread import on_polars_thread


def thread_of_an_operation() -> int:
    """Where polars computes an operation that has something to be spread over threads."""
    found = []

    def note(column: pl.Series) -> pl.Series:
        found.append(threading.get_native_id())
        return column

    frame = pl.DataFrame({"a": [1], "b": [2]})
    frame.select(pl.col("a").map_batches(note, return_dtype=pl.Int64), pl.col("b").sum())
    return found[0]


def test_operations_stay_on_the_thread_that_asks_for_them() -> None:
    assert thread_of_an_operation() != threading.get_native_id()
    assert on_polars_thread(lambda: thread_of_an_operation() == threading.get_native_id())


def test_it_gives_what_the_work_gives() -> None:
    frame = pl.DataFrame({"key": ["a", "b", "a"], "value": [1, 2, 3]})
    work = lambda: frame.group_by("key").agg(pl.col("value").sum()).sort("key").rows()  # noqa: E731
    assert on_polars_thread(work) == work() == [("a", 4), ("b", 2)]
    assert on_polars_thread(lambda: None) is None


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(3), KeyboardInterrupt()])
def test_it_raises_what_the_work_raises(error: BaseException) -> None:
    def work() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        on_polars_thread(work)
    assert caught.value is error
