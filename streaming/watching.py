"""Patterns and anomalies on Spark's state store: events wait for their turn, then are folded.

An event is decided once the watermark has passed it. Until then it waits in a queue of the whole
bucket, and no user's state is touched. So an epoch costs what it appends, and the users it decides
or whose timers go off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import polars as pl

from features.machines import FOREVER, NEVER
from features.watching import RELEVANT, Folded, fold, relevant
from streaming.state import records
from streaming.state.store import State
from streaming.state.waiting import Queue, Waiting

__all__ = ["WatchKeeper", "Watched"]

SECOND_US = 1_000_000
# While the stream runs, an abandoned cart is detected at most this late.
LOOK_EVERY_US = 5 * SECOND_US
# Nobody sees a user being forgotten.
FORGET_US = 600 * SECOND_US


class Book(msgspec.Struct):
    """What a bucket knows: the events that wait, up to where everything is decided; its users."""

    waiting: Queue = msgspec.field(default_factory=Queue)
    users: records.Book = msgspec.field(default_factory=records.Book)


class Watched(NamedTuple):
    """`messages`, `alerts`, `flags`: as in `features.watching`; `late`: events that came when their
    time was decided; `next_due`: the largest watermark at which still nothing is due; `live`: users
    of whom something is kept; `capped`: the user of each thing that a bound made be forgotten.
    """

    messages: pl.DataFrame
    alerts: pl.DataFrame
    flags: pl.DataFrame
    late: int
    next_due: int | None
    live: int
    capped: Sequence[str]


class WatchKeeper:
    """The users of one bucket, and their events that are not decided yet.

    A user of whom nothing is left to say is dropped; number and sum of purchases, two numbers, stay
    for good.
    """

    def __init__(self, state: State) -> None:
        self._book = state.cell("watched", Book)
        self._waiting = Waiting(state, RELEVANT)
        self._users = records.Records(state, ("user_id",), USER)

    def step(self, events: pl.DataFrame, now: int, *, is_exact: bool) -> Watched:
        """Take the events in and let the watermark `now` pass.

        Events (see `features.watching.relevant`) are free of copies. While the stream runs they are
        decided second by second; `is_exact`, to the microsecond.
        """
        second, look = (1, 1) if is_exact else (SECOND_US, LOOK_EVERY_US)
        book = self._book.get()
        waiting, users = book.waiting, book.users
        before, decided = waiting.taken, max(waiting.taken, now // second * second)
        until = decided // look * look - 1  # a timer goes off once the watermark is beyond it
        first = waiting.first
        if events.is_empty() and (first is None or first >= decided) and users.next_due > until:
            # The book need not say so: where nothing was decided, nothing can come too late.
            return Watched(*IDLE[1:4], 0, _ahead(book, second, look), users.live, ())
        late, fresh = _cut(relevant(events), before)
        now_due, later = _cut(fresh, decided)
        passed = pl.concat([self._waiting.take(waiting, decided), now_due]).sort("event_at")
        self._waiting.put(waiting, later)
        folded = self._fold(users, passed, decided, until)
        self._book.put(book)
        ahead = _ahead(book, second, look)
        return Watched(*folded[1:4], late.height, ahead, users.live, folded.capped)

    def _fold(self, users: records.Book, events: pl.DataFrame, now: int, until: int) -> Folded:
        found = self._users.find(users, events.select("user_id").unique(), until)
        names, machines = (found.records[name].to_list() for name in ("user_id", "machines"))
        folded = fold(dict(zip(names, machines, strict=True)), events, now)
        kept = [
            (name, machines, _next_look(due, until))
            for name, (machines, due, until) in folded.memories.items()
        ]
        self._users.replace(users, found, records.Found(pl.DataFrame(kept, USER, orient="row")))
        return folded


NOTHING = pl.DataFrame(schema=RELEVANT)
USER = {"user_id": pl.String, "machines": pl.Binary, records.DUE: pl.Int64}
IDLE = fold({}, NOTHING, NEVER)


def _cut(rows: pl.DataFrame, at: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows before and from that time on, in order."""
    ordered = rows.sort("event_at")
    place = ordered["event_at"].search_sorted(at)
    return ordered[:place], ordered[place:]


def _next_look(due: int, until: int) -> int:
    """When a user's next timer goes off, or the user is forgotten."""
    due = due if until == FOREVER else min(due, -(-until // FORGET_US) * FORGET_US)
    return records.NEVER_DUE if due == FOREVER else due


def _ahead(book: Book, second: int, look: int) -> int | None:
    """The largest watermark that decides nothing and sets no timer off."""
    first, due = book.waiting.first, book.users.next_due
    events = () if first is None else (first // second * second + second - 1,)
    users = () if due == records.NEVER_DUE else (due // look * look + look - 1,)
    return min((*events, *users), default=None)
