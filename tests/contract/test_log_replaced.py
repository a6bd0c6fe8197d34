"""A part of a feature log gives way to rows computed again, while a stream may append to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from sinks_suite.stores import VIEW, VIEWS, epoch, output

from streaming.ports import Epoch, Output
from streaming.sinks.delta import DeltaSink

MINE = "generation = 0 AND batch_id > 10 AND batch_id <= 20"
Row = tuple[int, int, str]


def log(lake: Path) -> list[Row]:
    table = DeltaTable(str(lake / "features" / VIEW.name)).to_pyarrow_table()
    columns = ("generation", "batch_id", "reader_id")
    return sorted(zip(*(table.column(name).to_pylist() for name in columns), strict=True))


def part(number: int, *readers: str) -> tuple[Epoch, Output]:
    return epoch(number, generation=0), output(*({"reader_id": reader} for reader in readers))


def write(lake: Path, *, number: int, generation: int, reader: str) -> None:
    """As another process does."""
    at = epoch(number, generation=generation, checkpoint=f"c{generation}")
    thread = threading.Thread(
        target=DeltaSink(str(lake), views=VIEWS).write, args=(at, output({"reader_id": reader}))
    )
    thread.start()
    thread.join()


def test_only_what_is_selected_gives_way(tmp_path: Path) -> None:
    sink = DeltaSink(str(tmp_path), views=VIEWS)
    write(tmp_path, number=15, generation=1, reader="served")
    sink.replace(VIEW.name, [part(10, "before"), part(21, "after")], "generation = 0")
    sink.replace(VIEW.name, [part(11, "a", "b"), part(20, "c")], MINE)
    kept = [(0, 10, "before"), (0, 21, "after"), (1, 15, "served")]
    assert log(tmp_path) == sorted([*kept, (0, 11, "a"), (0, 11, "b"), (0, 20, "c")])
    sink.replace(VIEW.name, [part(12, "d")], MINE)
    assert log(tmp_path) == sorted([*kept, (0, 12, "d")])
    sink.replace(VIEW.name, [], MINE)
    assert log(tmp_path) == sorted(kept)


def test_it_is_one_commit(tmp_path: Path) -> None:
    sink = DeltaSink(str(tmp_path), views=VIEWS)
    sink.ensure(views=VIEWS)
    table = DeltaTable(str(tmp_path / "features" / VIEW.name))
    sink.replace(VIEW.name, [part(11, "a"), part(12, "b")], MINE)
    before = table.version()
    table.update_incremental()
    assert table.version() == before + 1


def test_what_a_stream_appends_meanwhile_stays(tmp_path: Path) -> None:
    def slowly() -> Iterator[tuple[Epoch, Output]]:
        yield part(11, "a")
        write(tmp_path, number=1, generation=1, reader="served")
        yield part(12, "b")

    DeltaSink(str(tmp_path), views=VIEWS).replace(VIEW.name, slowly(), MINE)
    assert log(tmp_path) == [(0, 11, "a"), (0, 12, "b"), (1, 1, "served")]


def test_two_that_replace_the_same_rows_are_noticed(tmp_path: Path) -> None:
    def slowly() -> Iterator[tuple[Epoch, Output]]:
        yield part(11, "a")
        write(tmp_path, number=12, generation=0, reader="b")

    with pytest.raises(CommitFailedError):
        DeltaSink(str(tmp_path), views=VIEWS).replace(VIEW.name, slowly(), MINE)
    assert log(tmp_path) == [(0, 12, "b")]


def test_an_entity_that_is_no_more_is_marked(tmp_path: Path) -> None:
    sink = DeltaSink(str(tmp_path), views=VIEWS)
    at, changed = part(11, "a", "b")
    gone = changed.rows[VIEW.name].select(*VIEW.key, "event_at")
    put = sink.replace(VIEW.name, [(at, changed), (epoch(12, generation=0), without(gone))], MINE)
    table = DeltaTable(str(tmp_path / "features" / VIEW.name)).to_pyarrow_table()
    found = [(row["batch_id"], row["is_deleted"], row["note"]) for row in table.to_pylist()]
    assert put == 4
    assert sorted(found) == [(11, False, "plain")] * 2 + [(12, True, None)] * 2


def without(gone: pl.DataFrame) -> Output:
    """What an epoch changes in which these entities end."""
    return replace(output(), rows={}, gone={VIEW.name: gone})
