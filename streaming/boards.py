"""Boards on the driver: the newest row of every entity of a view, and what depends on all of them.

What an epoch changes comes in; out go these rows with the columns of the board, and from time to
time every other row of which the board shows something else. After a restart the newest rows are
those that PostgreSQL serves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import polars as pl

from features.boards import Board
from features.columns import polars_schema
from features.dimensions import Dimensions
from features.views import VIEWS, FeatureView

__all__ = ["EVERY_US", "Boards"]

# A rank that moves shifts others: looking at each epoch would rewrite half of the view each time.
EVERY_US = 15 * 1_000_000


class Boards:
    """The boards of a job's views. `newest`: what is served of a view (`EpochStore.newest`);
    `is_replay`: nobody waits, so each epoch looks at all.
    """

    def __init__(
        self,
        views: Iterable[str],
        newest: Callable[[str], pl.DataFrame],
        dimensions: Dimensions,
        *,
        is_replay: bool,
    ) -> None:
        found = (VIEWS[name] for name in views)
        self._views = [(view, view.board) for view in found if view.board is not None]
        self._served = newest
        self._dimensions = dimensions
        self._is_replay = is_replay
        self._newest: dict[str, pl.DataFrame] = {}
        self._looked_at_us: int | None = None
        self._is_stale = False

    @property
    def wanted_at_us(self) -> int | None:
        """When an epoch should look again, on the wall clock; None if nothing has changed since."""
        return None if not self._is_stale else (self._looked_at_us or 0) + EVERY_US

    def forget(self) -> None:
        """What was shown last was not written: ask again what is served, and look soon."""
        self._newest.clear()
        self._looked_at_us, self._is_stale = None, True

    def show(self, rows: Mapping[str, pl.DataFrame], now_us: int) -> dict[str, pl.DataFrame]:
        """The changed rows of all views; with a board they are completed, and others join them."""
        looks = self._is_replay or now_us - (self._looked_at_us or 0) >= EVERY_US
        self._is_stale = self._is_stale or any(view.name in rows for view, _ in self._views)
        shown = {**rows}
        if not self._is_stale:
            return shown
        for view, board in self._views:
            found = self._changed(view, board, rows.get(view.name), looks=looks)
            if found.height:
                shown[view.name] = found
        if looks:
            self._looked_at_us, self._is_stale = now_us, False
        return shown

    def _changed(
        self, view: FeatureView, board: Board, rows: pl.DataFrame | None, *, looks: bool
    ) -> pl.DataFrame:
        before = self._newest.get(view.name)
        if before is None:
            before = self._served(view.name)
        rows = rows if rows is not None else _none(view)
        shown = [column.name for column in board.columns]
        now = _merged(view, shown, before, rows)
        if looks:
            now = _typed(view, board.show(now.drop(shown), self._dimensions))
        self._newest[view.name] = now
        others = now.join(rows, on=view.key, how="anti", nulls_equal=True)
        differing = _differing(view, shown, others, before) if looks else others.clear()
        mine = now.join(rows.select(*view.key, "by_event"), on=view.key)
        return pl.concat([mine, differing.with_columns(by_event=pl.lit(value=False))])


def _none(view: FeatureView) -> pl.DataFrame:
    return _typed(view, pl.DataFrame(schema=_schema(view))).with_columns(
        by_event=pl.lit(value=False)
    )


def _merged(
    view: FeatureView, board: Sequence[str], before: pl.DataFrame, rows: pl.DataFrame
) -> pl.DataFrame:
    """The newest rows; a changed one keeps what the board showed of its entity."""
    own = rows.drop("by_event", *board, strict=False)
    changed = own.join(before.select(*view.key, *board), on=view.key, how="left")
    rest = before.join(own, on=view.key, how="anti")
    return pl.concat([_typed(view, rest), _typed(view, changed)])


def _differing(
    view: FeatureView, board: Sequence[str], now: pl.DataFrame, before: pl.DataFrame
) -> pl.DataFrame:
    same = [pl.col(name).eq_missing(pl.col(f"{name} before")) for name in board]
    joined = now.join(before.select(*view.key, *board), on=view.key, how="left", suffix=" before")
    return joined.filter(~pl.all_horizontal(same)).select(now.columns)


def _typed(view: FeatureView, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(pl.col(name).cast(dtype) for name, dtype in _schema(view).items())


def _schema(view: FeatureView) -> dict[str, pl.DataType]:
    return {**polars_schema(view.columns), "event_at": pl.Datetime("us", "UTC")}
