"""A session view on Spark's state store: an epoch reads and writes the visits it touches."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from features.session_set import SessionSet, Step
from streaming.state.records import DUE, NEVER_DUE, Book, Found, Records
from streaming.state.store import State

__all__ = ["SessionKeeper", "Stepped"]


class Stepped(NamedTuple):
    """`rows`: changed rows with `by_event`; `step`: what the events did; `next_due`: the largest
    watermark at which still nothing is due.
    """

    rows: pl.DataFrame
    step: Step
    next_due: int | None
    live: int


class SessionKeeper:
    """The visits of one view in one bucket."""

    def __init__(self, name: str, sessions: SessionSet, state: State) -> None:
        self._sessions = sessions
        self._book = state.cell(f"{name} visits", Book)
        self._visits = Records(state, sessions.key, {**sessions.schema, DUE: pl.Int64})
        # The first watermark at which something of a visit changes.
        self._due = (sessions.due() + 1).alias(DUE)

    def step(self, events: pl.DataFrame, now: int) -> Stepped:
        """Let the watermark `now` pass, then merge new events.

        Time passes first: so an event never meets a visit that is over.
        """
        book = self._book.get()
        known = events.filter(pl.all_horizontal(pl.col(self._sessions.key).is_not_null()))
        if known.is_empty() and book.next_due > now:
            return Stepped(pl.DataFrame(), self._sessions.no_step(events), *_ahead(book))
        found = self._visits.find(book, known.select(self._sessions.key), now)
        visits, closed = self._sessions.advance(found.records.drop(DUE), now)
        step = self._sessions.step(visits, events, now)
        self._visits.replace(book, found, Found(step.visits.with_columns(self._due)))
        self._book.put(book)
        rows = [
            closed.with_columns(by_event=pl.lit(value=False)),
            step.rows.with_columns(by_event=pl.lit(value=True)),
        ]
        changed = pl.concat(rows).unique(self._sessions.entity, keep="last")
        return Stepped(changed, step, *_ahead(book))

    def changes(self, stepped: Stepped) -> pl.DataFrame:
        """The visits that became others: with `sign` -1 as they were, with +1 as they are."""
        return self._sessions.changes(stepped.step)


def _ahead(book: Book) -> tuple[int | None, int]:
    return None if book.next_due == NEVER_DUE else book.next_due - 1, book.live
