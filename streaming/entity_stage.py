"""The second stage of a job: the views of other keys, from the feeds of the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any

import pandas as pd
import polars as pl
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from features.dimensions import Dimensions, no_dimensions
from features.feeds import FEEDS, Feed
from features.session_set import SIGN
from features.views import PATTERNS, VIEWS, FeatureView
from features.window_set import IS_EVENT
from streaming.event_stage import BEGINNING, event_columns
from streaming.isolation import Blobs, isolated, reason_of
from streaming.jobs import Job
from streaming.outcome import FEED, Outcome, taken
from streaming.packing import concat, from_blob
from streaming.state.store import State
from streaming.task import is_replay_of_task, watermark_of_task
from streaming.visits import SessionKeeper
from streaming.watching import WatchKeeper
from streaming.windowed import WindowedKeeper

__all__ = ["EntityStage"]


class EntityStage(StatefulProcessor):
    """The processor of one bucket of entities: each view takes the rows of its feed."""

    def __init__(self, job: Job, dimensions: Dimensions) -> None:
        # Sent to every task: the job has names only, and what they stand for is there already.
        self.job = job
        self.dimensions = dimensions

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Declare the state: it lives as long as the checkpoint."""
        state = self._state = State(handle)
        views = self.job.views_of_feeds
        self.keys = {feed.name: pl.col(feed.key) for feed in self.job.feeds}
        self._sessions = [
            (view, SessionKeeper(view.name, view.sessions, state))
            for view in views
            if view.sessions is not None
        ]
        self._watches = [(feed, WatchKeeper(state)) for feed in self.job.feeds if feed.watched]
        self._windows = [
            (view, WindowedKeeper(view.name, view.windows, state))
            for view in views
            if view.windows is not None
        ]

    def handleInitialState(  # noqa: N802 - Spark's name
        self,
        key: Any,
        initialState: pd.DataFrame,  # noqa: N803
        timerValues: Any,  # noqa: N803
    ) -> None:
        """Begin with what a rebuild made of this bucket: rows (number, blob)."""
        del key, timerValues
        numbers, blobs = initialState["number"], initialState["blob"]
        self._state.begin_with(zip(map(int, numbers), map(bytes, blobs), strict=True))

    def handleInputRows(  # noqa: N802 - Spark's name
        self,
        key: Any,
        rows: Iterator[pd.DataFrame],
        timerValues: Any,  # noqa: N803
    ) -> Iterator[pd.DataFrame]:
        """Take what the first stage fed; pass on what is not for here."""
        del timerValues
        outcome = Outcome(int(key[0]))
        fed = taken(rows, outcome, passes=lambda kind: not kind.startswith(FEED))
        blobs = {kind.removeprefix(FEED): parts for kind, parts in fed.items()}
        self.take(blobs, outcome, watermark=watermark_of_task(), is_exact=is_replay_of_task())
        yield outcome.packed()

    def close(self) -> None:
        """Nothing is held outside the state."""

    def take(
        self, blobs: Blobs, outcome: Outcome, *, watermark: int | None, is_exact: bool
    ) -> None:
        """A step; the rows of an entity that breaks it are refused."""
        step = partial(self.step, watermark=watermark, is_exact=is_exact)
        isolated(blobs, outcome, step, self.keys, _set_aside)

    def step(
        self, blobs: Blobs, outcome: Outcome, *, watermark: int | None, is_exact: bool
    ) -> None:
        """Take the rows of each feed, packed; sessions and rules first, others show them too."""
        now = BEGINNING if watermark is None else watermark
        fed = {name: concat(map(from_blob, parts)) for name, parts in blobs.items()}
        with self._state.opened():
            self._step(fed, now, outcome, is_exact=is_exact)

    def _step(
        self, fed: Mapping[str, pl.DataFrame], now: int, outcome: Outcome, *, is_exact: bool
    ) -> None:
        changed: dict[str, pl.DataFrame] = {}
        for view, keeper in self._sessions:
            stepped = keeper.step(self._rows_of(view, fed), now)
            outcome.put_frame(f"rows:{view.name}", stepped.rows)
            outcome.put_frame(f"gone:{view.name}", stepped.step.gone)
            outcome.limit(view.name, late=stepped.step.late.height)
            outcome.note(stepped.next_due, stepped.live)
            changed[view.name] = keeper.changes(stepped)
        for feed, watch in self._watches:
            watched = watch.step(fed.get(feed.name, _nothing_fed(feed)), now, is_exact=is_exact)
            outcome.put_frame("sent:retargeting", watched.messages)
            outcome.put_frame("sent:alerts", watched.alerts)
            outcome.limit(PATTERNS, late=watched.late, capped=watched.capped)
            outcome.note(watched.next_due, 0)
            changed[PATTERNS] = watched.flags
        for view, windows in self._windows:
            rows = self._with_others(view, self._rows_of(view, fed), changed)
            done = windows.step(rows, now, is_exact=is_exact)
            outcome.put_frame(f"rows:{view.name}", done.rows)
            outcome.limit(view.name, capped=done.capped, behind_us=done.behind_us)
            outcome.note(done.next_due, done.live)

    def _rows_of(self, view: FeatureView, fed: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        feed = view.feed
        if feed is None or feed.name not in fed:
            return _no_rows(view.name)
        return view.source(fed[feed.name], self.dimensions)

    def _with_others(
        self, view: FeatureView, rows: pl.DataFrame, changed: Mapping[str, pl.DataFrame]
    ) -> pl.DataFrame:
        """The view's rows and those that the views before made for it."""
        if not view.also:
            return rows
        made = [source(changed[name], self.dimensions) for name, source in view.also.items()]
        rows = pl.concat([rows, *made], how="diagonal_relaxed")
        return rows.with_columns(pl.col(SIGN).fill_null(1), pl.col(IS_EVENT).fill_null(value=True))


@cache
def _no_rows(name: str) -> pl.DataFrame:
    """No rows, with the columns that the view's would have."""
    view = VIEWS[name]
    return view.source(_nothing_fed(view.feed), no_dimensions()) if view.feed else pl.DataFrame()


@cache
def _nothing_fed(feed: Feed) -> pl.DataFrame:
    of = VIEWS.get(feed.of)
    if of is not None and of.sessions is not None:
        schema = {**of.sessions.schema, SIGN: pl.Int64}
    else:
        schema = event_columns(feed.of)
    return feed.rows(pl.DataFrame(schema=schema), no_dimensions())


def _set_aside(rows: Mapping[str, pl.DataFrame], error: Exception, outcome: Outcome) -> None:
    for name, part in rows.items():
        outcome.refuse("stage", name, part[FEEDS[name].key].unique(), reason_of(error))
