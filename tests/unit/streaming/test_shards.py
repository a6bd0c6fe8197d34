"""Shards hold what a plain dict holds, at any size."""

from __future__ import annotations

from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spark_state import Map

from streaming.shards import ENTRIES, Shards

NAMES = st.integers(0, 60).map(lambda number: f"name {number}")
Epochs = list[tuple[dict[str, int], set[str]]]


@given(st.lists(st.tuples(st.dictionaries(NAMES, st.integers(0, 9)), st.sets(NAMES)), max_size=8))
def test_what_was_written_is_read(epochs: Epochs) -> None:
    state, count = Map(), 1
    plain: dict[str, int] = {}
    for entries, gone in epochs:
        shards = Shards(state, count, int)
        names = [*entries, *gone, "unknown"]
        assert shards.read(names) == {name: plain[name] for name in names if name in plain}
        plain |= entries
        for name in gone:
            plain.pop(name, None)
        shards.write(entries, gone, len(plain))
        count = shards.count
    assert Shards(state, count, int).read(list(plain)) == plain
    assert sum(len(msgspec.msgpack.decode(blob)) for blob in state.values()) == len(plain)


@pytest.mark.parametrize("buckets", [1, 4, 6])
def test_shards_stay_small_within_a_bucket(buckets: int) -> None:
    """The names of one bucket have the low bits of their hash in common."""

    names = [f"user_{n}" for n in range(20_000) if crc32(f"user_{n}".encode()) % buckets == 0]
    state = Map()
    Shards(state, 1, int).write(dict.fromkeys(names, 0), [], len(names))
    sizes = [len(msgspec.msgpack.decode(blob)) for blob in state.values()]
    assert sum(sizes) == len(names)
    assert max(sizes) < 6 * ENTRIES
