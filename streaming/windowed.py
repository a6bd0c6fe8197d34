"""A windowed view on Spark's state store: an epoch reads and writes the entities it touches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from features.tiles import PLACE, VALUES, Tiles
from features.window_set import WindowSet
from features.windowed_step import LAST_AT, WindowedState, step
from streaming.state.records import DUE, NEVER_DUE, ROW, Book, Found, Records
from streaming.state.store import State

__all__ = ["SLOT_US", "Stepped", "WindowedKeeper"]

SECOND_US = 1_000_000
# While the stream runs, what time alone changes is put out so often.
SLOT_US = 30 * SECOND_US
# Beside fresh events an epoch puts out no more of that than there are touched entities, or so many;
# but nothing waits for longer than this.
LEAST_DUE = 1000
MOST_BEHIND_US = 300 * SECOND_US


class Stepped(NamedTuple):
    """`rows`: changed rows; `next_due`: the largest watermark at which still nothing is due;
    `capped`: the entity of each tile that had too many values; `behind_us`: for how long the first
    entity that yielded to fresh events has been due.
    """

    rows: pl.DataFrame
    next_due: int | None
    live: int
    capped: Sequence[str] = ()
    behind_us: int = 0


class WindowedKeeper:
    """The entities of one view in one bucket."""

    def __init__(self, name: str, windows: WindowSet, state: State) -> None:
        self._entity = windows.entity
        # Numbers are joined and grouped sooner than names.
        self._windows = windows.of_numbered(ROW)
        self._book = state.cell(f"{name} entities", Book)
        times = {LAST_AT: pl.Int64, DUE: pl.Int64}
        self._records = Records(
            state,
            windows.entity,
            {**dict.fromkeys(windows.entity, pl.String), **times},
            (_numbers(windows.partials), VALUES, windows.events.schema),
        )

    def step(self, events: pl.DataFrame, now: int, *, is_exact: bool) -> Stepped:
        """Merge the events' rows and let the watermark `now` pass.

        What time alone changes is put out slot by slot and yields to fresh events, or, `is_exact`,
        to the microsecond and at once.
        """
        slot = 1 if is_exact else SLOT_US
        book, until = self._book.get(), now // slot * slot
        names = events.select(self._entity).drop_nulls().unique(maintain_order=True)
        if names.is_empty() and book.next_due > until:
            return Stepped(pl.DataFrame(), *_ahead(book, slot))
        has_to_yield = names.height and not is_exact
        found = self._records.find(
            book,
            names,
            until,
            most=max(LEAST_DUE, names.height) if has_to_yield else None,
            must=now - MOST_BEHIND_US,
        )
        behind = max(0, now - book.passed - 1) if book.passed < until else 0
        known = found.records
        new = names.join(known, on=self._entity, how="anti", maintain_order="left")
        names = pl.concat([known.select(self._entity), new]).with_row_index(ROW)
        numbered = events.join(names, on=self._entity, how="left", maintain_order="left")
        entities = known.with_row_index(ROW).select(ROW, LAST_AT, DUE)
        state = WindowedState(self._windows.events.adopt(Tiles(*found.parts)), entities)
        done = step(self._windows, state, numbered, now)
        self._records.replace(book, found, _named(done.state, names))
        self._book.put(book)
        rows = done.rows.join(names, on=ROW).drop(ROW)
        return Stepped(rows, *_ahead(book, slot), self._named_keys(done.capped, names), behind)

    def _named_keys(self, numbered: pl.DataFrame, names: pl.DataFrame) -> Sequence[str]:
        if numbered.is_empty():
            return ()
        keys = numbered.join(names, on=ROW).select(pl.concat_str(self._entity, separator="|"))
        return keys.to_series().to_list()


def _named(state: WindowedState, names: pl.DataFrame) -> Found:
    """As it is stored: parts have the place of their entity, which need not be its number."""
    kept = state.entities.sort(ROW)
    rows = kept[ROW].to_numpy()

    def placed(part: pl.DataFrame) -> pl.DataFrame:
        ordered = part.sort(ROW)
        places = np.searchsorted(rows, ordered[ROW].to_numpy())
        return ordered.with_columns(pl.Series(ROW, places, pl.UInt32))

    keys = names.drop(ROW)[kept[ROW]]
    records = keys.with_columns(kept[LAST_AT], kept[DUE])
    return Found(records, tuple(map(placed, state.tiles)))


def _numbers(partials: Iterable[str]) -> dict[str, type[pl.DataType]]:
    """Counts are whole, everything else is not."""
    kinds = {name: pl.Int64 if name.startswith("count(") else pl.Float64 for name in partials}
    return {**dict.fromkeys(PLACE, pl.Int64), **kinds}


def _ahead(book: Book, slot: int) -> tuple[int | None, int]:
    due = None if book.next_due == NEVER_DUE else -(-book.next_due // slot) * slot - 1
    return due, book.live
