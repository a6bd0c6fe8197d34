"""A session view on Spark's state store: an epoch reads and writes the shards it touches.

The visits of a bucket lie in shards of a few score, each a blob of columns: reading one costs as
much as dozens of rows in it. The number of shards grows with the visits (linear hashing, as in
`streaming.shards`). A book says when each shard is due, so that time passing costs what it changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import polars as pl

from features.session_set import SessionSet
from streaming.one_map import OneMap
from streaming.packing import concat, from_blob, to_blob
from streaming.shards import shard_of, sources_of_split

__all__ = ["VISITS_PER_SHARD", "SessionKeeper", "Stepped"]

VISITS_PER_SHARD = 128
NUMBER = "number of its shard"


class Book(msgspec.Struct):
    """What a bucket knows of a view: of each shard until when nothing in it is due (None: empty)
    and how many visits it holds.
    """

    due: list[int | None] = msgspec.field(default_factory=lambda: [None])
    sizes: list[int] = msgspec.field(default_factory=lambda: [0])


class Stepped(NamedTuple):
    """`rows`: changed rows with `by_event`; `gone`, `late`, `changes`: as in `session_set.Step`;
    `next_due`: the largest watermark at which still nothing is due.
    """

    rows: pl.DataFrame
    gone: pl.DataFrame
    late: pl.DataFrame
    changes: pl.DataFrame
    next_due: int | None
    live: int


class SessionKeeper:
    """The visits of one view in one bucket."""

    def __init__(self, name: str, sessions: SessionSet, state: OneMap) -> None:
        self._sessions = sessions
        self._book = state.cell(f"{name}_book")
        self._shards = state.part(f"{name}_visits")
        self._key = pl.concat_str(sessions.key, separator="\x1f")

    def step(self, events: pl.DataFrame, now: int) -> Stepped:
        """Let the watermark `now` pass, then merge new events.

        Time passes first: so an event never meets a visit that is over.
        """
        stored = self._book.get()
        book = Book() if stored is None else msgspec.msgpack.decode(stored, type=Book)
        due = [n for n, at in enumerate(book.due) if at is not None and at < now]
        keys = events.select(self._key).drop_nulls().to_series().unique()
        wanted = {*due, *(shard_of(key, len(book.due)) for key in keys.to_list())}
        visits, closed = self._sessions.advance(self._read(wanted), now)
        stepped = self._sessions.step(visits, events, now)
        if wanted:
            self._write(book, wanted, stepped.visits)
            self._book.put(msgspec.msgpack.encode(book))
        rows = [
            closed.with_columns(by_event=pl.lit(value=False)),
            stepped.rows.with_columns(by_event=pl.lit(value=True)),
        ]
        changed = pl.concat(rows).unique(self._sessions.entity, keep="last")
        return Stepped(changed, stepped.gone, stepped.late, stepped.changes, *_totals(book))

    def _read(self, numbers: Iterable[int]) -> pl.DataFrame:
        found = (self._shards.get(number) for number in numbers)
        blobs = [from_blob(blob) for blob in found if blob is not None]
        return concat([self._sessions.empty(), *blobs])

    def _write(self, book: Book, wanted: set[int], visits: pl.DataFrame) -> None:
        """Store the shards of `wanted`, whose visits are all of `visits`."""
        before, live = len(book.due), visits.height
        live += sum(size for number, size in enumerate(book.sizes) if number not in wanted)
        count = max(before, -(-live // VISITS_PER_SHARD))
        # New shards take their visits from others, which have to be here then.
        others = sources_of_split(before, count) - wanted
        visits = pl.concat([visits, self._read(others)])
        book.due += [None] * (count - before)
        book.sizes += [0] * (count - before)
        numbered = visits.with_columns(self._numbers(visits, count))
        parts = numbered.partition_by(NUMBER, as_dict=True, include_key=False)
        for number in sorted({*wanted, *others, *range(before, count)}):
            part = parts.get((number,))
            if part is None:
                self._shards.drop(number)
                book.due[number], book.sizes[number] = None, 0
            else:
                self._shards.put(to_blob(part), number)
                book.due[number] = part.select(self._sessions.due().min()).item()
                book.sizes[number] = part.height

    def _numbers(self, visits: pl.DataFrame, count: int) -> pl.Series:
        keys = visits.select(self._key).to_series()
        numbers = {key: shard_of(key, count) for key in keys.unique().to_list()}
        return keys.replace_strict(numbers, return_dtype=pl.Int64).alias(NUMBER)


def _totals(book: Book) -> tuple[int | None, int]:
    return min((at for at in book.due if at is not None), default=None), sum(book.sizes)
