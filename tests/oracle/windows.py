"""Windowed features the slow way: every event looked at for every window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from features.windows import Aggregation, Kind, Window, WindowSet

__all__ = ["windowed"]

HOUR = 3_600_000_000
TEN_SECONDS = 10_000_000
Event = Mapping[str, Any]


def windowed(declared: WindowSet, events: Sequence[Event], t: int) -> dict[str, Any]:
    """The features of one entity at `t`, of all its events."""
    features: dict[str, Any] = {}
    for grid in declared.grids:
        for window in grid.windows:
            inside = [event for event in events if covers(window, event, t)]
            features[f"{grid.name}_{window.name}"] = aggregate(grid.aggregation, inside)
    for rate in declared.rates:
        for window in rate.windows:
            of, to = features[f"{rate.of}_{window.name}"], features[f"{rate.to}_{window.name}"]
            features[f"{rate.name}_{window.name}"] = of / to if to else None
    return features


def covers(window: Window, event: Event, t: int) -> bool:
    number, unit = int(window.name[:-1]), window.name[-1]
    width = number * {"m": 60, "h": 3600, "d": 86_400}[unit] * 1_000_000
    tile = TEN_SECONDS if width <= HOUR else HOUR
    return event["event_at"] - event["event_at"] % tile > t - width


def aggregate(one: Aggregation, events: Sequence[Event]) -> Any:
    chosen = [
        event
        for event in events
        if all(event[name] in values for name, values in one.where.items())
        and (one.of is None or event[one.of] is not None)
    ]
    if one.kind is Kind.COUNT:
        return len(chosen)
    values = [event[str(one.of)] for event in chosen]
    if one.kind is Kind.DISTINCT:
        return len(set(values))
    if one.kind is Kind.SUM:
        return sum(values, 0.0)
    if not values:
        return None
    if one.kind is Kind.MOST:
        return most(chosen, str(one.of))
    return {Kind.MIN: min, Kind.MAX: max, Kind.MEAN: lambda v: sum(v) / len(v)}[one.kind](values)


def most(events: Sequence[Event], column: str) -> str:
    """The larger count, then the more recent event, then the smaller name."""
    best: str | None = None
    best_rank: tuple[Any, ...] = ()
    for value in sorted({event[column] for event in events}):
        mine = [event for event in events if event[column] == value]
        last = max((event["event_at"], event["event_id"]) for event in mine)
        if best is None or (len(mine), last) > best_rank:
            best, best_rank = value, (len(mine), last)
    return str(best)
