"""The step of a windowed view: new events come in, time passes, changed rows come out.

What is kept of an entity is its tiles, the time of its last event, and when its row changes next if
nothing happens. `t` of an entity is the later of its last event and the watermark.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from features.windows import Tiles, WindowSet

__all__ = ["DUE", "Step", "WindowedState", "empty", "step"]

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
    smallest watermark that changes another row, None if none does.
    """

    state: WindowedState
    rows: pl.DataFrame
    next_due: int | None


def empty(view: WindowSet, events: pl.DataFrame) -> WindowedState:
    """Nothing is known; `events` shows the types of the entity's columns."""
    return WindowedState(view.start(events.clear()), _entities(view, events.clear()))


def step(view: WindowSet, state: WindowedState, events: pl.DataFrame, watermark_us: int) -> Step:
    """Merge new, de-duplicated `events` and let the watermark pass.

    Only entities that are touched or due are computed: what the others show has not changed.
    """
    new = _entities(view, events)
    known = pl.concat([state.entities, new]).group_by(view.entity)
    entities = known.agg(pl.col(LAST_AT).max(), pl.col(DUE).min())
    touched = new.select(*view.entity, by_event=pl.lit(value=True))
    entities = entities.join(touched, on=view.entity, how="left").with_columns(
        pl.col("by_event").fill_null(value=False)
    )
    is_changed = pl.col("by_event") | (pl.col(DUE) <= watermark_us).fill_null(value=False)
    changed = entities.filter(is_changed)
    resting = entities.filter(~is_changed).drop("by_event")

    tiles = view.merge([state.tiles, view.start(events)]) if events.height else state.tiles
    mine = _of(tiles, changed.select(view.entity), "semi", view)
    at = changed.select(*view.entity, t=pl.max_horizontal(LAST_AT, pl.lit(watermark_us)))
    rows = view.finish(mine, at).join(
        changed.select(*view.entity, event_at=LAST_AT, by_event="by_event"), on=view.entity
    )
    kept = view.evict(mine, watermark_us)
    due = view.due(kept, at)
    counted = changed.drop(DUE, "by_event").join(due, on=view.entity, how="left")
    # An entity that nothing is due for shows zeros for good: nothing of it needs to be kept.
    alive = counted.filter(pl.col(DUE).is_not_null()).select(resting.columns)
    others = _of(tiles, changed.select(view.entity), "anti", view)
    state = WindowedState(_both(others, kept), pl.concat([resting, alive]))
    return Step(state, rows, state.entities[DUE].min())  # type: ignore[arg-type]


def _entities(view: WindowSet, events: pl.DataFrame) -> pl.DataFrame:
    known = events.filter(pl.all_horizontal(pl.col(view.entity).is_not_null()))
    last = known.group_by(view.entity).agg(pl.col("event_at").max().alias(LAST_AT))
    return last.with_columns(pl.lit(None, pl.Int64).alias(DUE))


def _of(tiles: Tiles, entities: pl.DataFrame, how: str, view: WindowSet) -> Tiles:
    def part(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.join(entities, on=view.entity, how=how)  # type: ignore[arg-type]

    return Tiles(part(tiles.numbers), part(tiles.values))


def _both(first: Tiles, second: Tiles) -> Tiles:
    return Tiles(
        pl.concat([first.numbers, second.numbers]), pl.concat([first.values, second.values])
    )
