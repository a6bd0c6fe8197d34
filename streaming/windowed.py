"""A windowed view on Spark's state store: an epoch reads and writes the entities it touches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from features.older_tiles import adopted
from features.tiles import PLACE, VALUES, Tiles
from features.window_set import WindowSet
from features.windowed_step import LAST_AT, WindowedState, step
from streaming.distinct import DistinctKeeper
from streaming.state.records import DUE, NEVER_DUE, ROW, Book, Found, Records, with_rows
from streaming.state.store import State

__all__ = ["SLOT_US", "Stepped", "WindowedKeeper"]

SECOND_US = 1_000_000
# How an entity's tiles are kept; older versions said nothing of it.
FORM, CURRENT = "form", 1
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
        times = {LAST_AT: pl.Int64, DUE: pl.Int64, FORM: pl.Int64}
        self._records = Records(
            state,
            windows.entity,
            {**dict.fromkeys(windows.entity, pl.String), **times},
            (_numbers(windows.partials), VALUES, windows.events.schema),
        )
        self._distinct = DistinctKeeper(name, windows.entity, self._windows, state)

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
        values = self._distinct.find(numbered, names, until)
        numbers, listed, signed = found.parts
        tiles = self._as_current(Tiles(numbers, listed, signed, values.rows), known)
        done = step(self._windows, WindowedState(tiles, entities), numbered, now)
        self._records.replace(book, found, _named(done.state, names))
        self._distinct.replace(values, done.state.tiles.distinct, names)
        self._book.put(book)
        rows = done.rows.join(names, on=ROW).drop(ROW)
        return Stepped(rows, *_ahead(book, slot), self._named_keys(done.capped, names), behind)

    def _as_current(self, tiles: Tiles, known: pl.DataFrame) -> Tiles:
        """The tiles of entities that are `known`, which an older version may have stored."""
        is_older = known[FORM].is_null()
        if not is_older.any():
            return tiles
        older = known.select(FORM).with_row_index(ROW).filter(is_older).select(ROW)
        theirs = Tiles(*(rows.join(older, on=ROW, how="semi") for rows in tiles))
        others = Tiles(*(rows.join(older, on=ROW, how="anti") for rows in tiles))
        both = zip(others, adopted(self._windows, theirs), strict=True)
        return Tiles(*(pl.concat(rows, how="diagonal") for rows in both))

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
        if part.is_empty():
            return part
        ordered = part.sort(ROW)
        return with_rows(ordered, np.searchsorted(rows, ordered[ROW].to_numpy()))

    keys = names.drop(ROW)[kept[ROW]]
    records = keys.with_columns(kept[LAST_AT], kept[DUE], pl.lit(CURRENT, pl.Int64).alias(FORM))
    parts = state.tiles.numbers, state.tiles.values, state.tiles.events
    return Found(records, tuple(map(placed, parts)))


def _numbers(partials: Iterable[str]) -> dict[str, type[pl.DataType]]:
    """Counts are whole, everything else is not."""
    is_whole = {name: name.startswith(("count(", "distinct(")) for name in partials}
    kinds = {name: pl.Int64 if whole else pl.Float64 for name, whole in is_whole.items()}
    return {**dict.fromkeys(PLACE, pl.Int64), **kinds}


def _ahead(book: Book, slot: int) -> tuple[int | None, int]:
    due = None if book.next_due == NEVER_DUE else -(-book.next_due // slot) * slot - 1
    return due, book.live
