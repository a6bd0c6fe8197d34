"""Patterns and anomalies on Spark's state store: events wait for their turn, then are folded.

An event is decided once the watermark has passed it. Until then it lies in a buffer of the whole
bucket, columns in slots of event time, and no user's state is touched. When a user's timers go off
stands in an agenda of slots, in the manner of `streaming.windowed`. So an epoch costs what it
appends, and the users it decides or who are due.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import polars as pl

from features.machines import FOREVER, NEVER
from features.watching import RELEVANT, Folded, Memory, fold, relevant
from streaming.one_map import OneMap, names_of, to_names
from streaming.packing import from_blob, to_blob
from streaming.shards import Shards

__all__ = ["WatchKeeper", "Watched"]

SECOND_US = 1_000_000
# What an epoch brings of a replay may span days: its slots are wider, so that about so many do.
MOST_SLOTS = 4
# While the stream runs, an abandoned cart is detected at most this late. Timers lie at most 70 min
# ahead, so shorter slots would only be more of them.
AGENDA_US = 5 * SECOND_US
# Nobody sees a user being forgotten.
FORGET_US = 600 * SECOND_US


class Slot(NamedTuple):
    """A slot of the buffer."""

    start: int
    width: int


class Book(msgspec.Struct):
    """What a bucket knows: up to where everything is decided, the slots of the buffer with their
    first event times, the slots of the agenda with somebody in them, and how many users live.
    """

    decided: int = NEVER
    buffered: list[tuple[Slot, int]] = msgspec.field(default_factory=list)
    slots: list[int] = msgspec.field(default_factory=list)
    live: int = 0
    shards: int = 1


class Kept(msgspec.Struct, array_like=True):
    """A user's machines, and the slots of the agenda in which the user stands: one to be woken, one
    to be forgotten.
    """

    wake: int | None
    forget: int | None
    machines: bytes


class Watched(NamedTuple):
    """`messages`, `alerts`, `flags`: as in `features.watching`; `late`: events that came when their
    time was decided; `next_due`: the largest watermark at which still nothing is due; `live`: users
    of whom something is kept; `capped`: how often a bound made something be forgotten.
    """

    messages: pl.DataFrame
    alerts: pl.DataFrame
    flags: pl.DataFrame
    late: int
    next_due: int | None
    live: int
    capped: int


class WatchKeeper:
    """The users of one bucket, and their events that are not decided yet.

    A user of whom nothing is left to say is dropped; number and sum of purchases, two numbers, stay
    for good.
    """

    def __init__(self, state: OneMap) -> None:
        self._book = state.cell("watch_book")
        self._buffer = state.part("watch_buffer")
        self._agenda = state.part("watch_agenda")
        self._users = state.part("watch_users")

    def step(self, events: pl.DataFrame, now: int, *, is_exact: bool) -> Watched:
        """Take the events in and let the watermark `now` pass.

        Events (see `features.watching.relevant`) are free of copies. While the stream runs they are
        decided second by second; `is_exact`, to the microsecond.
        """
        stored = self._book.get()
        book = Book() if stored is None else msgspec.msgpack.decode(stored, type=Book)
        before = book.decided
        book.decided = max(before, now if is_exact else now // SECOND_US * SECOND_US)
        passed = [slot for slot, first in book.buffered if first < book.decided]
        due = self._woken(book, is_exact=is_exact)
        if events.is_empty() and not passed and not due:
            # The book need not say so: where nothing was decided, nothing can come too late.
            return Watched(*IDLE[1:4], 0, _next_due(book, is_exact=is_exact), book.live, 0)
        late, fresh = _cut(relevant(events), before)
        decided, waiting = _cut(_joined(fresh, *self._taken(book, passed)), book.decided)
        self._append(book, waiting)
        folded = self._fold(book, decided, due)
        self._book.put(msgspec.msgpack.encode(book))
        next_due = _next_due(book, is_exact=is_exact)
        return Watched(*folded[1:4], late.height, next_due, book.live, folded.capped)

    def _taken(self, book: Book, passed: Sequence[Slot]) -> list[pl.DataFrame]:
        """The rows of those slots, which are removed from the buffer."""
        rows = [self._rows(slot) for slot in passed]
        for slot in passed:
            self._buffer.drop(*slot)
        book.buffered = [one for one in book.buffered if one[0] not in passed]
        return rows

    def _append(self, book: Book, rows: pl.DataFrame) -> None:
        """Put rows into the buffer; they are in order of time."""
        buffered = dict(book.buffered)
        width = _width(rows["event_at"])
        while rows.height:
            first = rows["event_at"][0]
            slot = Slot(first // width * width, width)
            end = rows["event_at"].search_sorted(slot.start + width)
            new, rows = rows[:end], rows[end:]
            there = _joined(new, self._rows(slot)) if slot in buffered else new
            buffered[slot] = min(first, buffered.get(slot, first))
            self._buffer.put(to_blob(there), *slot)
        book.buffered = list(buffered.items())

    def _rows(self, slot: Slot) -> pl.DataFrame:
        stored = self._buffer.get(*slot)
        return NOTHING if stored is None else from_blob(stored)

    def _woken(self, book: Book, *, is_exact: bool) -> dict[int, Sequence[str]]:
        """The slots of the agenda that have passed, taken out of it."""
        ahead = 0 if is_exact else AGENDA_US - 1
        passed = [slot for slot in book.slots if slot * AGENDA_US + ahead < book.decided]
        due: dict[int, Sequence[str]] = {}
        for slot in passed:
            found = self._agenda.get(slot)
            due[slot] = () if found is None else names_of(found)
            self._agenda.drop(slot)
        book.slots = [slot for slot in book.slots if slot not in due]
        return due

    def _fold(self, book: Book, events: pl.DataFrame, due: Mapping[int, Sequence[str]]) -> Folded:
        names = dict.fromkeys(name for users in due.values() for name in users)
        names |= dict.fromkeys(events["user_id"].unique().to_list())
        if not names:
            return IDLE
        shards = Shards(self._users, book.shards, Kept)
        known = shards.read(names)
        machines = {name: one.machines for name, one in known.items()}
        folded = fold(machines, events, book.decided)
        kept = self._kept(book, known, folded.memories, set(due))
        book.live += len(kept) - len(known)
        shards.write(kept, known.keys() - kept.keys(), book.live)
        book.shards = shards.count
        return folded

    def _kept(
        self,
        book: Book,
        known: Mapping[str, Kept],
        memories: Mapping[str, Memory],
        passed: set[int],
    ) -> dict[str, Kept]:
        """The users as they will be stored, each put into the agenda if they have to be."""
        kept: dict[str, Kept] = {}
        waiting: dict[int, list[str]] = {}
        for name, (machines, due, until) in memories.items():
            before = known.get(name, STRANGER)
            wake = _place(before.wake, _slot(due), passed)
            forget = _place(before.forget, _slot(_rounded(until)), passed)
            for slot, stood in ((wake, before.wake), (forget, before.forget)):
                if slot is not None and (slot != stood or slot in passed):
                    waiting.setdefault(slot, []).append(name)
            kept[name] = Kept(wake, forget, machines)
        self._enter(book, waiting)
        return kept

    def _enter(self, book: Book, waiting: Mapping[int, Iterable[str]]) -> None:
        for slot, users in waiting.items():
            found = self._agenda.get(slot)
            # Somebody who stood there before may come back.
            names = dict.fromkeys([*(names_of(found) if found else ()), *users])
            self._agenda.put(to_names(names), slot)
        book.slots = sorted({*book.slots, *waiting})


STRANGER = Kept(None, None, b"")
NOTHING = pl.DataFrame(schema=RELEVANT)
IDLE = fold({}, NOTHING, NEVER)


def _joined(*rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that an older version wrote may lack a column: they have nothing in it."""
    return pl.concat(rows, how="diagonal")


def _cut(rows: pl.DataFrame, at: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows before and from that time on, in order."""
    ordered = rows.sort("event_at")
    place = ordered["event_at"].search_sorted(at)
    return ordered[:place], ordered[place:]


def _width(times: pl.Series) -> int:
    """The smallest power of two seconds of which few enough cover these times, in order."""
    span = times[-1] - times[0] if len(times) else 0
    return SECOND_US << (span // (MOST_SLOTS * SECOND_US)).bit_length()


def _slot(at: int) -> int | None:
    return None if at == FOREVER else at // AGENDA_US


def _rounded(until: int) -> int:
    return until if until == FOREVER else -(-until // FORGET_US) * FORGET_US


def _place(stood: int | None, wanted: int | None, passed: set[int]) -> int | None:
    """The slot to stand in: the one there was, if it is early enough."""
    if wanted is None or stood is None or stood > wanted or stood in passed:
        return wanted
    return stood


def _next_due(book: Book, *, is_exact: bool) -> int | None:
    events = (_quiet(first, SECOND_US, is_exact=is_exact) for _, first in book.buffered)
    users = (_quiet(slot * AGENDA_US, AGENDA_US, is_exact=is_exact) for slot in book.slots)
    return min((*events, *users), default=None)


def _quiet(at: int, width: int, *, is_exact: bool) -> int:
    """The largest watermark that does not decide what is at `at`."""
    return at if is_exact else (at // width + 1) * width - 1
