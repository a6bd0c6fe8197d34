"""Records hold what a plain dict holds, in whatever worker, however they were merged."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spark_state import Store, each_call

from streaming.state import records, segments
from streaming.state.records import DUE, NEVER_DUE, ROW, Book, Found, Records
from streaming.state.store import CELLS, State

SCHEMA = {"name": pl.String, "number": pl.Int64, DUE: pl.Int64}
NAMES = [f"n{number}" for number in range(12)] + ["책방", ""]
Plain = dict[str, tuple[int, int, list[str]]]
names = st.sampled_from(NAMES)
times = st.integers(1, 60) | st.just(NEVER_DUE)
entries = st.dictionaries(
    names, st.tuples(st.integers(0, 9), times, st.lists(st.sampled_from("xyz"), max_size=3))
)


def table(store: Store, schema: Any = SCHEMA) -> Any:
    return each_call(store, lambda state: Records(state, ("name",), schema, ({"text": pl.String},)))


def keys(wanted: Any) -> pl.DataFrame:
    return pl.DataFrame({"name": list(wanted)}, schema={"name": pl.String})


def found(plain: Plain) -> Found:
    rows = [(name, number, due) for name, (number, due, _) in plain.items()]
    texts = [
        (row, text) for row, (_, _, texts) in enumerate(plain.values()) for text in sorted(texts)
    ]
    part = pl.DataFrame(texts, schema={ROW: pl.UInt32, "text": pl.String}, orient="row")
    return Found(pl.DataFrame(rows, schema=SCHEMA, orient="row"), (part,))


def plain(of: Found) -> Plain:
    (part,) = of.parts
    texts: dict[int, list[str]] = {}
    for row, text in part.iter_rows():
        texts.setdefault(row, []).append(text)
    rows = enumerate(of.records.iter_rows())
    return {name: (number, due, texts.get(row, [])) for row, (name, number, due) in rows}


def ordered(entries: Plain) -> Plain:
    return {name: (number, due, sorted(texts)) for name, (number, due, texts) in entries.items()}


@given(st.lists(st.tuples(entries, st.sets(names), st.integers(0, 20), st.booleans()), max_size=12))
@settings(max_examples=60, deadline=None)
def test_records_are_those_of_a_plain_dict(
    steps: list[tuple[Plain, set[str], int, bool]],
) -> None:
    """Each step changes some, drops others and lets time pass, at times in a new worker."""
    store, book, kept, now = Store(), Book(), Plain(), 0
    for new, gone, passed, is_new_worker in steps:
        if is_new_worker:
            segments.forget()
        now += passed
        before = table(store).find(book, keys({*new, *gone}), now)
        due = {name for name, (_, at, _) in kept.items() if at <= now}
        wanted = {name: kept[name] for name in {*new, *gone, *due} if name in kept}
        assert plain(before) == ordered(wanted)
        # What is due gets a time of its own again; what was dropped is in none of the two.
        after = {name: (number, NEVER_DUE, texts) for name, (number, _, texts) in wanted.items()}
        after |= {name: (n, max(at, now + 1), texts) for name, (n, at, texts) in new.items()}
        after = {name: one for name, one in after.items() if name not in gone}
        table(store).replace(book, before, found(after))
        kept = {name: one for name, one in kept.items() if name not in wanted} | after
        assert book.live == len(kept)
        assert book.next_due <= min((at for _, at, _ in kept.values()), default=NEVER_DUE)
        assert {number for number, _ in book.segments} == store.blobs.keys()
    everything = table(store).find(book, keys(NAMES))
    assert plain(everything) == ordered(kept)


@given(
    st.dictionaries(st.integers(0, 99), st.integers(1, 30), max_size=40),
    st.integers(0, 12),
    st.integers(0, 25),
    st.data(),
)
@settings(max_examples=40, deadline=None)
def test_what_is_due_first_comes_first_and_nothing_is_forgotten(
    dues: dict[int, int], most: int, must: int, data: st.DataObject
) -> None:
    """Of 30 that pass, so many at a time, but all that are due by `must`; in several segments."""
    store, book, left = Store(), Book(), dict(dues)
    for part in (0, 1, 2):
        new: Plain = {f"n{n}": (0, due, []) for n, due in dues.items() if n % 3 == part}
        table(store).replace(book, table(store).find(book, keys(new)), found(new))
    while True:
        if data.draw(st.booleans()):
            segments.forget()
        got = table(store).find(book, keys([]), 30, most=most, must=must)
        taken = {int(name[1:]): due for name, (_, due, _) in plain(got).items()}
        is_more = len(left) > max(most, sum(due <= must for due in left.values()))
        assert taken.items() <= left.items()
        if is_more:
            assert len(taken) >= most
            assert {n for n, due in left.items() if due <= must} <= taken.keys()
            assert max(taken.values(), default=0) <= min(
                (due for n, due in left.items() if n not in taken), default=99
            )
            assert book.passed == min(due for n, due in left.items() if n not in taken) - 1
        else:
            assert (taken, book.passed) == (left, 30)
        done: Plain = {f"n{n}": (0, NEVER_DUE, []) for n in taken}
        table(store).replace(book, got, found(done))
        left = {n: due for n, due in left.items() if n not in taken}
        if not is_more or not most:
            return


def test_an_epoch_costs_a_few_segments_however_many_records_there_are() -> None:
    store, book = Store(), Book()
    for epoch in range(200):
        new = {f"e{epoch}n{number}": (0, NEVER_DUE, ["x"]) for number in range(5)}
        before = table(store).find(book, keys(new))
        table(store).replace(book, before, found(new))
        sizes = [size for _, size in book.segments]
        assert all(older > 2 * newer for older, newer in pairwise(sizes))
    assert (book.live, len(book.segments)) == (1000, len(store.blobs))
    assert len(book.segments) <= 10  # log2(1000)


def test_what_is_gone_leaves_nothing_behind() -> None:
    store, book = Store(), Book()
    table(store).add(book, found({"a": (1, 5, ["x"])}))
    nothing = Found(
        pl.DataFrame(schema=SCHEMA), (pl.DataFrame(schema={ROW: pl.UInt32, "text": pl.String}),)
    )
    table(store).replace(book, table(store).find(book, keys("a")), nothing)
    assert (book.live, book.segments, store.blobs, book.next_due) == (0, [], {}, NEVER_DUE)


def test_keys_of_one_hash_keep_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(rows: pl.DataFrame, _key: Any) -> Any:
        return np.zeros(rows.height, np.uint64)

    monkeypatch.setattr(records, "_hashes", one)
    store, book = Store(), Book()
    table(store).add(book, found({"a": (1, 9, ["x"]), "b": (2, 9, [])}))
    before = table(store).find(book, keys("a"))
    assert plain(before).keys() == {"a", "b"}
    table(store).replace(book, before, found({"b": (2, 9, [])}))
    assert plain(table(store).find(book, keys("ab"))) == {"b": (2, 9, [])}


def test_a_column_declared_later_is_null_in_what_was_written_before() -> None:
    store, book = Store(), Book()
    before = {name: type_ for name, type_ in SCHEMA.items() if name != "number"}
    rows = pl.DataFrame([("a", 7)], schema=before, orient="row")
    table(store, before).add(book, Found(rows, found({}).parts))
    assert table(store).find(book, keys("a")).records.rows() == [("a", None, 7)]


def test_a_part_declared_later_is_empty_in_what_was_written_before() -> None:
    store, book = Store(), Book()
    records = found({"a": (1, 5, [])}).records
    before = each_call(store, lambda state: Records(state, ("name",), SCHEMA))
    before.add(book, Found(records))
    (part,) = table(store).find(book, keys("a")).parts
    assert (part.height, part.columns) == (0, [ROW, "text"])


def test_a_lost_segment_is_an_error() -> None:
    store, book = Store(), Book()
    table(store).add(book, found({"a": (1, 5, [])}))
    segments.forget()
    store.states.clear()
    with pytest.raises(LookupError, match="no segment"):
        table(store).find(book, keys("a"))


def test_a_worker_keeps_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    store, books, reads = Store(), [Book(), Book()], []
    get = State.get

    def counted(state: State, number: int) -> bytes | None:
        if number != CELLS:
            reads.append(number)
        return get(state, number)

    monkeypatch.setattr(State, "get", counted)
    segments.forget()
    for book in books:
        table(store).add(book, found({"a": (1, 5, ["x"])}))
    for book in books * 2:
        assert plain(table(store).find(book, keys("a")))
    assert reads == []
    monkeypatch.setattr(segments, "CACHED_BYTES", 1)
    for book in books * 2:
        table(store).add(book, found({f"b{len(reads)}": (1, 5, ["x"])}))
        assert plain(table(store).find(book, keys("a")))
    assert len(reads) > 4


@given(st.lists(st.dictionaries(st.tuples(names, names), st.integers(0, 9)), max_size=8), names)
@settings(max_examples=40, deadline=None)
def test_all_records_of_a_group_are_found_and_counted(
    steps: list[dict[tuple[str, str], int]], wanted: str
) -> None:
    schema = {"group": pl.String, "name": pl.String, "number": pl.Int64}
    store, book, kept = Store(), Book(), dict[tuple[str, str], int]()
    table = each_call(store, lambda state: Records(state, ("group", "name"), schema, group=1))

    def rows(entries: dict[tuple[str, str], int]) -> pl.DataFrame:
        return pl.DataFrame([(*key, n) for key, n in entries.items()], schema, orient="row")

    for new in steps:
        known = table.find(book, rows(new))
        table.replace(book, known, Found(rows(new)))
        kept |= new
    group = pl.DataFrame({"group": [wanted]})
    found = table.find(book, rows({}), groups=group).records
    mine = {key: number for key, number in kept.items() if key[0] == wanted}
    assert {tuple(row[:2]): row[2] for row in found.rows()} == mine
    (most,) = table.most_of(book, group)
    written = sum(key[0] == wanted for new in steps for key in new)
    assert len(mine) <= most <= written
