"""The step of a windowed view: new events come in, time passes, changed rows come out.

What is kept of an entity is its tiles, the time of its last event, and when its row changes next if
nothing happens. `t` of an entity is the later of its last event and the watermark.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from features.session_set import SIGN
from features.tiles import Tiles
from features.window_set import IS_EVENT, WindowSet

__all__ = ["DUE", "LAST_AT", "Step", "WindowedState", "empty", "step"]

LAST_AT = "last_at"
DUE = "due"


@dataclass(frozen=True, slots=True)
class WindowedState:
    """`entities`: the entity's columns, `last_at` (event time of its last event) and `due` (the `t`
    at which its row changes; null once all of it has left every window).
    """

    tiles: Tiles
    entities: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Step:
    """`rows`: the changed features with `event_at` (microseconds) and `by_event`; `next_due`: the
    smallest watermark that changes another row, None if none does; `capped`: the entity of each
    tile that had too many values.
    """

    state: WindowedState
    rows: pl.DataFrame
    next_due: int | None
    capped: pl.DataFrame


def empty(view: WindowSet, events: pl.DataFrame) -> WindowedState:
    """Nothing is known; `events` shows the types of the entity's columns."""
    nothing = events.clear()
    return WindowedState(view.start(nothing), _entities(view, nothing).drop("by_event"))


def step(view: WindowSet, state: WindowedState, events: pl.DataFrame, watermark_us: int) -> Step:
    """Merge new, de-duplicated `events` and let the watermark pass.

    `state` has to hold the entities of the events and those that are due; others may be missing.
    Only what is touched or due is computed: what the others show has not changed.
    """
    new = _entities(view, events)
    known = pl.concat([state.entities, new.drop("by_event")]).group_by(view.entity)
    entities = known.agg(pl.col(LAST_AT).max(), pl.col(DUE).min()).join(
        new.select(*view.entity, "by_event"), on=view.entity, how="left"
    )
    # Of an entity that no event is known of nothing can be said, or taken back.
    entities = entities.filter(pl.col(LAST_AT).is_not_null())
    is_touched = pl.col("by_event").is_not_null()
    is_changed = is_touched | (pl.col(DUE) <= watermark_us).fill_null(value=False)
    changed = entities.filter(is_changed)
    resting = entities.filter(~is_changed).drop("by_event")

    tiles, capped = state.tiles, new.clear().select(view.entity)
    if events.height:
        tiles, capped = view.cap(view.add(tiles, events), watermark_us)
    mine = _of(tiles, changed, view, rest=resting)
    at = changed.select(*view.entity, t=pl.max_horizontal(LAST_AT, pl.lit(watermark_us)))
    rows = view.finish(mine, at).join(
        changed.select(
            *view.entity, event_at=LAST_AT, by_event=pl.col("by_event").fill_null(value=False)
        ),
        on=view.entity,
    )
    kept = view.evict(mine, watermark_us)
    due = view.due(kept, at).filter(pl.col(DUE).is_not_null())
    # An entity that nothing is due for shows zeros for good: nothing of it needs to be kept.
    alive = changed.drop(DUE, "by_event").join(due, on=view.entity).select(resting.columns)
    entities = pl.concat([resting, alive])
    over = changed.join(due, on=view.entity, how="anti")
    parts = [_of(tiles, resting, view, rest=changed), _of(kept, alive, view, rest=over)]
    tiles = Tiles(*(pl.concat(both) for both in zip(*parts, strict=True)))
    return Step(WindowedState(tiles, entities), rows, entities[DUE].min(), capped)  # type: ignore[arg-type]


def _entities(view: WindowSet, events: pl.DataFrame) -> pl.DataFrame:
    """The entities of new rows, when their last event was, and whether there is one."""
    known = events.filter(pl.all_horizontal(pl.col(view.entity).is_not_null()))
    is_event = pl.col(IS_EVENT) if IS_EVENT in events.columns else pl.lit(value=True)
    is_there = pl.col(SIGN) > 0 if SIGN in events.columns else pl.lit(value=True)
    seen = known.with_columns(seen_at=pl.when(is_event & is_there).then("event_at"))
    return seen.group_by(view.entity).agg(
        pl.col("seen_at").max().alias(LAST_AT),
        pl.lit(None, pl.Int64).alias(DUE),
        by_event=is_event.any(),
    )


def _of(tiles: Tiles, entities: pl.DataFrame, view: WindowSet, *, rest: pl.DataFrame) -> Tiles:
    """The tiles of those entities; the `rest` are all others that have some."""
    if rest.is_empty():
        return tiles
    if entities.is_empty():
        return Tiles(*(rows.clear() for rows in tiles))
    by = entities.select(view.entity)
    return Tiles(*(rows.join(by, on=view.entity, how="semi") for rows in tiles))
