"""Cells are written together and only when they have changed; blobs stand by themselves."""

from __future__ import annotations

import pytest

from streaming.state.memory import MemoryState
from streaming.state.store import CELLS, State


def test_cells_are_read_and_written_once_for_an_epoch() -> None:
    spark = MemoryState()
    state = State(spark)  # type: ignore[arg-type]
    one, two = state.cell("one", dict[str, int]), state.cell("둘", list[int])
    with state.opened():
        assert (one.get(), two.get()) == ({}, [])
        one.put({"a": 1})
        two.put([2])
        assert (one.get(), spark.states["state"]) == ({"a": 1}, {})
    written = spark.states["state"][CELLS,]
    again = State(spark)  # type: ignore[arg-type]
    with again.opened():
        assert again.cell("one", dict[str, int]).get() == {"a": 1}
        again.cell("둘", list[int]).put([2])
    assert spark.states["state"][CELLS,] is written


def test_a_step_that_fails_leaves_everything_as_it_was() -> None:
    spark = MemoryState()
    state = State(spark)  # type: ignore[arg-type]
    with state.opened():
        state.put(7, b"a")
    before = dict(spark.states["state"])

    def step() -> None:
        with state.opened():
            state.cell("one", list[int]).put([1])
            state.put(8, b"b")
            state.drop(7)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        step()
    assert spark.states["state"] == before
    with state.opened():
        assert (state.get(7), state.get(8)) == (b"a", None)


def test_a_blob_of_one_step_is_never_stored() -> None:
    spark = MemoryState()
    state = State(spark)  # type: ignore[arg-type]
    with state.opened():
        state.put(7, b"a")
        state.drop(7)
    assert (7,) not in spark.states["state"]


def test_every_blob_has_a_number() -> None:
    spark = MemoryState()
    state = State(spark)  # type: ignore[arg-type]
    state.put(7, b"a")
    assert (state.get(7), state.get(8), list(spark.states)) == (b"a", None, ["state"])
    state.drop(7)
    assert state.get(7) is None
