"""Distinct values on Spark's state store: an epoch reads and writes those that its events have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from features.distinct import DISTINCT, MOST_VALUES
from features.window_set import WindowSet
from streaming.state.records import DUE, ROW, Book, Found, Records
from streaming.state.store import State

__all__ = ["DistinctKeeper", "Known"]

# Of values that no window covers any more an epoch drops as many as it reads, or so many.
LEAST_DUE = 1000


class Known(NamedTuple):
    """`rows`: of numbered entities, as `Tiles.distinct`; and what `replace` needs."""

    rows: pl.DataFrame
    others: pl.DataFrame
    found: Found
    book: Book


class DistinctKeeper:
    """The values of one view's entities in one bucket, by entity, aggregation and value."""

    def __init__(self, name: str, entity: Sequence[str], windows: WindowSet, state: State) -> None:
        """`windows`: those of numbered entities, the names of which are in the columns `entity`."""
        self._entity = tuple(entity)
        self._windows = windows
        self._cell = state.cell(f"{name} values", Book)
        self._key = (*entity, "partial", "value")
        schema = {**dict.fromkeys(entity, pl.String), **DISTINCT, "partial": pl.String}
        self._records = Records(state, self._key, {**schema, DUE: pl.Int64}, group=len(entity))

    def find(self, events: pl.DataFrame, names: pl.DataFrame, until: int) -> Known:
        """What is known of the values that events of entities have, with the numbers in `names`; of
        an entity with too many, all that is.
        """
        book = self._cell.get()
        if not self._windows.distinct.codes:
            return Known(self._windows.distinct.nothing, names.clear(), Found(names), book)
        keys = _named(self._windows.told_apart(events), names).select(self._key).unique()
        # A record that was replaced counts, too, until it is merged.
        most = self._records.most_of(book, names.select(self._entity))
        crowded = names.select(self._entity).filter(pl.Series(most > 2 * MOST_VALUES))
        found = self._records.find(
            book, keys, until, most=max(LEAST_DUE, keys.height), groups=crowded
        )
        numbered = found.records.join(names, on=self._entity, how="left", maintain_order="left")
        rows = numbered.filter(pl.col(ROW).is_not_null())
        others = numbered.filter(pl.col(ROW).is_null() & (pl.col(DUE) > until))
        as_number = pl.col("partial").cast(pl.Int64)
        return Known(
            rows.with_columns(as_number).select(ROW, *DISTINCT),
            others.select(found.records.columns),
            found,
            book,
        )

    def replace(self, known: Known, by: pl.DataFrame, names: pl.DataFrame) -> None:
        """Put values of numbered entities in place of what was known."""
        if not self._windows.distinct.codes:
            return
        rows = _named(by.with_columns(self._windows.distinct.leaves().alias(DUE)), names)
        kept = pl.concat([rows.select(known.others.columns), known.others])
        self._records.replace(known.book, known.found, Found(kept))
        self._cell.put(known.book)


def _named(rows: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    as_text = pl.col("partial").cast(pl.String)
    return rows.with_columns(as_text).join(names, on=ROW, how="left", maintain_order="left")
