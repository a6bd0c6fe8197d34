"""What the state in a checkpoint is made for, and whether today's code and settings still fit it.

A layout is recorded with the checkpoint. Whatever it names and today's names too must be the same.
What is new begins empty, as a feature does that a view gains, and what is gone is never asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from features.views import FeatureView
from features.windows import COARSE_US, FINE_US
from streaming.event_stage import SLOT_US
from streaming.jobs import Job

__all__ = ["STATE_FORM", "Layout", "layout_of", "mismatches"]

# The form of cells, books, segments and queues, of remembered ids and of rules: one more whenever
# what `streaming.state`, `features.dedup` or `features.watching` stores can no longer be read.
STATE_FORM = 1
# JSON: names -> values or layouts.
Layout = Mapping[str, Any]


def layout_of(job: Job, *, buckets: int, shuffle_partitions: int) -> Layout:
    """The layout that a new checkpoint of the job would have."""
    return {
        "state form": STATE_FORM,
        "buckets": buckets,
        "shuffle_partitions": shuffle_partitions,
        "keyed steps": 2 if job.feeds else 1,
        "slots of ids": SLOT_US,
        "topics": {topic: {"key": key} for topic, key in job.key_of.items()},
        "feeds": {feed.name: {"of": feed.of, "key": feed.key} for feed in job.feeds},
        "views": {view.name: _kept(view) for view in (*job.views_of_events, *job.views_of_feeds)},
    }


def mismatches(stored: Layout, wanted: Layout) -> list[str]:
    """Each thing that is another one in the two, in words; empty when the state fits."""
    return list(_differences(stored, wanted, ()))


def _kept(view: FeatureView) -> Layout:
    """What the state of a view depends on. Partial aggregates are named by what they are."""
    common = {"version": view.version, "feed": view.feed.name if view.feed else None}
    if view.sessions is None:
        return {**common, "tiles": [FINE_US, COARSE_US], "entity": list(view.key)}
    sessions = view.sessions
    return {
        **common,
        "entity": list(sessions.key),
        "gap": sessions.gap_us,
        "lifetime": sessions.lifetime_us,
        "columns": {name: str(type_) for name, type_ in sessions.schema.items()},
        "merged by": {measure.name: measure.merge.value for measure in sessions.measures},
    }


def _differences(stored: Layout, wanted: Layout, path: tuple[str, ...]) -> Iterator[str]:
    for name in stored.keys() & wanted.keys():
        before, now = stored[name], wanted[name]
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            yield from _differences(before, now, (*path, name))
        elif before != now:
            yield f"{' '.join((*path, name))} {before} (now {now})"
