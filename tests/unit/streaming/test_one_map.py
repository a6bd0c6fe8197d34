"""Parts of one map do not see each other."""

from __future__ import annotations

from streaming.memory_state import MemoryState
from streaming.one_map import OneMap, names_of, to_names


def test_every_part_has_keys_of_its_own() -> None:
    spark = MemoryState()
    state = OneMap(spark)  # type: ignore[arg-type]
    one, two, cell = state.part("one"), state.part("two"), state.cell("three")
    assert (one.get(1), cell.get()) == (None, None)
    one.put(b"a", 1)
    one.put(b"b", 1, 2)
    two.put(b"c", 1)
    cell.put(b"d")
    again = OneMap(spark)  # type: ignore[arg-type]
    assert [again.part("one").get(1), again.part("one").get(1, 2)] == [b"a", b"b"]
    assert (again.part("two").get(1), again.cell("three").get()) == (b"c", b"d")
    one.drop(1)
    assert (again.part("one").get(1), again.part("two").get(1)) == (None, b"c")
    assert list(spark.states) == ["state"]


def test_names_are_a_value() -> None:
    assert names_of(to_names(["a", "책방"])) == ["a", "책방"]
