"""Records by key on Spark's state store: a log of changes, merged as it grows.

What an epoch changes becomes one new segment. Of a key the newest segment that knows it counts.
A segment is merged with the one before when it has grown to half of its size, so there are about
log2(records) segments, and a record is written about as often. An epoch costs what it looks for:
keys are found by binary search for their hash, and so are the records that are due.

A record is a row with its key and perhaps `due`, when time alone changes it, and rows of parts that
belong to it. Records of one hash stay together, so two keys may share one, and a key may have more
than one. The first columns of a key may name a group: then all records of a group are found, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl

from streaming.packing import from_blob, to_blob
from streaming.state.segments import Segments, new_number
from streaming.state.store import State

__all__ = ["DUE", "NEVER_DUE", "ROW", "Book", "Found", "Records", "with_rows"]

DUE = "due"
# Of a row of a part: the place of the record that it belongs to.
ROW = "row"
NEVER_DUE = (1 << 63) - 1
# No id may contain it.
SEPARATOR = "\x1f"
# A group's half of a hash, and the other.
HALF, LOWER = np.uint64(32), np.uint64((1 << 32) - 1)
Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Counts = np.ndarray[Any, np.dtype[np.int64]]
Places = np.ndarray[Any, np.dtype[np.uint32]]
Times = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Schema = Mapping[str, Any]


class Book(msgspec.Struct):
    """What a bucket knows of a table: its segments, oldest first, with their sizes; up to which
    time everything due has been looked at; when something is due next; how many records live.
    """

    table: int = msgspec.field(default_factory=new_number)
    segments: list[tuple[int, int]] = []
    passed: int = -NEVER_DUE
    next_due: int = NEVER_DUE
    live: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """`records`, and the rows of each part with the `row` of their record, in order."""

    records: pl.DataFrame
    parts: tuple[pl.DataFrame, ...] = ()

    def take(self, places: Places) -> Found:
        """Those records, in that order."""
        return Found(self.records[places], tuple(_part_of(part, places) for part in self.parts))


class Records:
    """Tables of one kind: `key` names the columns of the key, texts that are never null; the first
    `group` of them those of a group.
    """

    def __init__(
        self,
        state: State,
        key: Sequence[str],
        schema: Schema,
        parts: Sequence[Schema] = (),
        *,
        group: int = 0,
    ) -> None:
        self._key = _Key(key, group)
        self._schemas = [dict(schema), *({ROW: pl.UInt32, **part} for part in parts)]
        form = tuple(tuple(one) for one in self._schemas)
        self._segments: Segments[_Segment] = Segments(state, self._decoded, form)
        self._nothing = Found(
            pl.DataFrame(schema=self._schemas[0]),
            tuple(pl.DataFrame(schema=one) for one in self._schemas[1:]),
        )

    def find(
        self,
        book: Book,
        keys: pl.DataFrame,
        until: int | None = None,
        *,
        most: int | None = None,
        must: int = -NEVER_DUE,
        groups: pl.DataFrame | None = None,
    ) -> Found:
        """The records of these keys and groups, and those that are due by `until`.

        With `most` only so many of these, the first, and whatever is due by `must`: the others stay
        due, and `book.passed` says so.
        """
        newest_first = self._read(book)[::-1]
        wanted = np.unique(self._key.hashes(keys))
        if groups is not None and groups.height:
            first, last = self._key.ranges(groups)
            theirs = [segment.between(first, last) for segment in newest_first]
            wanted = np.unique(np.concatenate([wanted, *theirs]))
        if until is not None and until > book.passed:
            due = _pass(book, newest_first, until, most, must)
            wanted = np.union1d(wanted, due) if len(due) else wanted
        found = []
        for segment in newest_first:
            if not len(wanted):
                break
            is_here = segment.knows(wanted)
            if is_here.any():
                found.append(segment.of(wanted[is_here]))
                wanted = wanted[~is_here]
        return _joined([one for one in found if one.records.height]) or self._nothing

    def most_of(self, book: Book, groups: pl.DataFrame) -> Counts:
        """How many records each of these groups has at most: what was replaced may count, too."""
        first, last = self._key.ranges(groups)
        counts = np.zeros(groups.height, np.int64)
        for segment in self._read(book):
            counts += segment.number_between(first, last)
        return counts

    def replace(self, book: Book, found: Found, by: Found) -> None:
        """Put `by` in place of what was found; what is in neither stays as it is."""
        if found.records.is_empty() and by.records.is_empty():
            self._plan(book)
            return
        keys = found.records.select(self._key.names)
        gone = keys.join(
            by.records.select(self._key.names), on=self._key.names, how="anti"
        ).unique()
        made = _Segment(by, gone, self._key)
        book.live += by.records.height - found.records.height
        sizes = [size for _, size in book.segments]
        size, first = made.size, len(sizes)
        while first and sizes[first - 1] <= 2 * size:
            first -= 1
            size += sizes[first]
        if first < len(sizes):
            merged = book.segments[first:]
            made = self._merged([*self._read(book)[first:], made], is_all=first == 0)
            self._segments.drop(number for number, _ in merged)
            del book.segments[first:]
        if made.size:
            number = self._segments.put(book.table, made, made.encoded())
            book.segments.append((number, made.size))
        self._plan(book)

    def add(self, book: Book, new: Found) -> None:
        """Put records whose keys have none."""
        self.replace(book, self._nothing, new)

    def drop(self, book: Book) -> None:
        """Remove a table."""
        self._segments.end(book.table, [number for number, _ in book.segments])
        book.segments.clear()

    def _plan(self, book: Book) -> None:
        """Note when something is due next: a record that was replaced may make it too early."""
        dues = (segment.due_after(book.passed) for segment in self._read(book))
        book.next_due = min(dues, default=NEVER_DUE)

    def _read(self, book: Book) -> list[_Segment]:
        return self._segments.read(book.table, [number for number, _ in book.segments])

    def _merged(self, oldest_first: Sequence[_Segment], *, is_all: bool) -> _Segment:
        """One segment for all of them; of nothing before it, it need not say what is gone."""
        kept, gone = [], []
        for place, segment in enumerate(oldest_first):
            newer = oldest_first[place + 1 :]
            kept.append(segment.without(newer))
            gone.append(segment.gone)
        left = _joined([one for one in kept if one.records.height]) or self._nothing
        keys = left.records.select(self._key.names)
        unknown = keys.clear() if is_all else pl.concat(gone).unique()
        if unknown.height:
            unknown = unknown.join(keys, on=self._key.names, how="anti")
        return _Segment(left, unknown, self._key)

    def _decoded(self, blob: bytes) -> _Segment:
        """Of a form from before what has been declared since is null, and a part empty."""
        *frames, gone = (from_blob(one) for one in msgspec.msgpack.decode(blob, type=list[bytes]))
        frames += [pl.DataFrame(schema=schema) for schema in self._schemas[len(frames) :]]
        frames = [
            _conformed(frame, schema) for frame, schema in zip(frames, self._schemas, strict=True)
        ]
        return _Segment(Found(frames[0], tuple(frames[1:])), gone, self._key)


class _Key:
    """The columns of a key, and where it stands in the order of hashes: next to its group's."""

    def __init__(self, names: Sequence[str], group: int) -> None:
        self.names = tuple(names)
        self._group = self.names[:group]

    def hashes(self, rows: pl.DataFrame) -> Hashes:
        """They are the same within a process only, so they are not stored."""
        hashes = _hashes(rows, self.names)
        return _hashes(rows, self._group) & ~LOWER | hashes >> HALF if self._group else hashes

    def ranges(self, groups: pl.DataFrame) -> tuple[Hashes, Hashes]:
        """The smallest and the largest that each group may have."""
        hashes = _hashes(groups, self._group)
        return hashes & ~LOWER, hashes | LOWER


class _Segment:
    """Records in the order of their hashes, and the keys that are gone, with what finds them."""

    def __init__(self, all_: Found, gone: pl.DataFrame, key: _Key) -> None:
        hashes = key.hashes(all_.records)
        # As they were written, unless another version hashes differently.
        if not (hashes[:-1] <= hashes[1:]).all():
            order = np.argsort(hashes, kind="stable").astype(np.uint32)
            all_, hashes = all_.take(order), hashes[order]
        self._all = all_
        self._hashes: Hashes = hashes
        self.gone = gone
        self._known: Hashes = hashes
        if gone.height:
            self._known = np.union1d(hashes, key.hashes(gone))
        self.size = all_.records.height + gone.height
        records = all_.records
        dues = records[DUE].to_numpy() if DUE in records.columns else np.empty(0, np.int64)
        self._by_due: Places = np.argsort(dues, kind="stable").astype(np.uint32)
        self._dues = dues[self._by_due]

    def nbytes(self) -> int:
        """About how much memory it takes."""
        frames = (self._all.records, *self._all.parts, self.gone)
        return sum(int(frame.estimated_size()) for frame in frames) + 32 * self.size

    def encoded(self) -> bytes:
        frames = (self._all.records, *self._all.parts, self.gone)
        return msgspec.msgpack.encode([to_blob(frame) for frame in frames])

    def knows(self, hashes: Hashes) -> Mask:
        """Which of those it has something to say about."""
        if not len(self._known):
            return np.zeros(len(hashes), np.bool_)
        places = np.searchsorted(self._known, hashes)
        is_known: Mask = self._known[np.minimum(places, len(self._known) - 1)] == hashes
        return is_known

    def of(self, hashes: Hashes) -> Found:
        """The records with those hashes, which are in order."""
        return self._all.take(_ranges(self._hashes, hashes)[0])

    def between(self, first: Hashes, last: Hashes) -> Hashes:
        """The hashes in any of these ranges."""
        places = [slice(*place) for place in zip(*self._places(first, last), strict=True)]
        return np.concatenate([self._hashes[place] for place in places])

    def number_between(self, first: Hashes, last: Hashes) -> Counts:
        """How many records there are in each of these ranges."""
        begins, ends = self._places(first, last)
        return ends - begins

    def _places(self, first: Hashes, last: Hashes) -> tuple[Counts, Counts]:
        ends = np.searchsorted(self._hashes, last, side="right")
        return np.searchsorted(self._hashes, first, side="left"), ends

    def without(self, newer: Sequence[_Segment]) -> Found:
        """What no newer segment replaces."""
        is_left = np.ones(len(self._hashes), np.bool_)
        for segment in newer:
            is_left &= ~segment.knows(self._hashes)
        return (
            self._all
            if is_left.all()
            else self._all.take(np.flatnonzero(is_left).astype(np.uint32))
        )

    def due_between(self, after: int, until: int) -> tuple[Hashes, Times]:
        """The hashes of records due after the one and by the other, and when they are."""
        first, last = np.searchsorted(self._dues, [after, until], side="right")
        return self._hashes[self._by_due[first:last]], self._dues[first:last]

    def due_after(self, time: int) -> int:
        """When something is due first."""
        first = int(np.searchsorted(self._dues, time, side="right"))
        return int(self._dues[first]) if first < len(self._dues) else NEVER_DUE


def _pass(
    book: Book, newest_first: Sequence[_Segment], until: int, most: int | None, must: int
) -> Hashes:
    """The hashes of what becomes due; the book notes up to when that is."""
    due = np.empty(0, np.uint64)
    if book.next_due <= until:
        due, times = _due(newest_first, book.passed, until)
        if most is not None:
            most = max(most, int(np.searchsorted(times, must, side="right")))
            if most < len(due):
                due, until = due[:most], int(times[most]) - 1
    book.passed = until
    return due


def _due(newest_first: Sequence[_Segment], after: int, until: int) -> tuple[Hashes, Times]:
    """The hashes of records that are due and that no newer segment replaces, in order of time, and
    these times. Of equal times they come as they are stored, which no retry changes.
    """
    found = [(np.empty(0, np.uint64), np.empty(0, np.int64))]
    for place, segment in enumerate(newest_first):
        due, times = segment.due_between(after, until)
        for newer in newest_first[:place]:
            if not len(due):
                break
            is_left = ~newer.knows(due)
            due, times = due[is_left], times[is_left]
        found.append((due, times))
    due, times = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    order = np.argsort(times, kind="stable")
    return due[order], times[order]


def _hashes(rows: pl.DataFrame, key: Sequence[str]) -> Hashes:
    return rows.select(pl.concat_str(key, separator=SEPARATOR).hash()).to_series().to_numpy()


def _ranges(ordered: Any, wanted: Any) -> tuple[Places, Places]:
    """The places of all that is wanted, and the place in `wanted` of each."""
    first = np.searchsorted(ordered, wanted, side="left")
    count = np.searchsorted(ordered, wanted, side="right") - first
    begins = np.repeat(first - (np.cumsum(count) - count), count)
    places = (begins + np.arange(len(begins))).astype(np.uint32)
    return places, np.repeat(np.arange(len(wanted), dtype=np.uint32), count)


def _part_of(part: pl.DataFrame, records: Places) -> pl.DataFrame:
    if part.is_empty():
        return part
    places, rows = _ranges(part[ROW].to_numpy(), records)
    return with_rows(part[places], rows)


def with_rows(part: pl.DataFrame, rows: Any) -> pl.DataFrame:
    """A part, which nobody else may have, with other places of its records."""
    return part.replace_column(part.get_column_index(ROW), pl.Series(ROW, rows, pl.UInt32))


def _joined(found: Sequence[Found]) -> Found | None:
    if len(found) <= 1:
        return found[0] if found else None
    firsts = np.cumsum([0, *(one.records.height for one in found[:-1])])
    parts = [_stacked(of_one, firsts) for of_one in zip(*(one.parts for one in found), strict=True)]
    return Found(pl.concat([one.records for one in found], rechunk=True), tuple(parts))


def _stacked(parts: Sequence[pl.DataFrame], firsts: Counts) -> pl.DataFrame:
    """Parts of records that come one after the other; each begins at the place `first`."""
    stacked = [
        with_rows(part.clone(), part[ROW].to_numpy() + first)
        for part, first in zip(parts, firsts, strict=True)
        if part.height
    ]
    return pl.concat(stacked, rechunk=True) if stacked else parts[0]


def _conformed(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    if frame.columns == list(schema):
        return frame
    missing = [pl.lit(None, type_).alias(name) for name, type_ in schema.items()]
    absent = [one for one, name in zip(missing, schema, strict=True) if name not in frame.columns]
    return frame.with_columns(absent).select(*schema)
