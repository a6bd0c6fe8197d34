"""Session features of a finished set of webtoon events, computed the obvious way.

No state, no order of arrival, no batches: sort everything, cut it into visits, look at the last.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

__all__ = ["final_watermark", "session_features"]

Event = dict[str, Any]
Key = tuple[str, str]

SECOND = 1_000_000
GAP = 30 * 60 * SECOND
DELAY = 10 * SECOND

OF_THE_FIRST = ("user_id", "country", "device", "platform", "experiment_group", "ui_version")


def final_watermark(events: list[Event]) -> int:
    """Where the watermark stands once a log has been read to its end."""
    return max(event["event_at"] for event in events) - DELAY


def session_features(
    events: list[Event], watermark_us: int, genres: dict[str, str]
) -> dict[Key, dict[str, Any]]:
    """The row of every (session, episode): that of its latest visit."""
    unique = {event["event_id"]: event for event in events}
    by_entity: dict[Key, list[Event]] = defaultdict(list)
    for event in sorted(unique.values(), key=lambda e: (e["event_at"], e["event_id"])):
        by_entity[event["session_id"], event["episode_id"]].append(event)
    return {
        (session, episode): features_of(visits(found)[-1], watermark_us, genres.get(episode))
        for (session, episode), found in by_entity.items()
    }


def visits(events: list[Event]) -> list[list[Event]]:
    """Cut ordered events wherever more than 30 minutes lie between two."""
    found = [[events[0]]]
    for event in events[1:]:
        if event["event_at"] - found[-1][-1]["event_at"] > GAP:
            found.append([])
        found[-1].append(event)
    return found


def features_of(visit: list[Event], watermark: int, genre: str | None) -> dict[str, Any]:
    first, last = visit[0], visit[-1]
    kinds = [event["event_type"] for event in visit]
    is_completed = "complete" in kinds
    return {
        **{name: first.get(name) for name in OF_THE_FIRST},
        "genre": genre,
        "is_completed": is_completed,
        "is_exit_tag": "exit" in kinds and not is_completed,
        "completion_rate": 1.0 if is_completed else furthest(visit),
        "avg_scroll_ratio": mean_scroll(visit),
        "dwell_time_ms": (last["event_at"] - first["event_at"]) // 1000,
        "scroll_event_count": kinds.count("scroll"),
        "event_count": len(visit),
        "started_at": first["event_at"],
        "ended_at": last["event_at"],
        "is_closed": is_closed(visit, watermark),
    }


def furthest(visit: list[Event]) -> float:
    ratios = [e["scroll_ratio"] for e in visit if e.get("scroll_ratio") is not None]
    return max(ratios, default=0.0)


def mean_scroll(visit: list[Event]) -> float | None:
    ratios = [e["scroll_ratio"] for e in visit if e["event_type"] == "scroll"]
    return math.fsum(ratios) / len(ratios) if ratios else None


def is_closed(visit: list[Event], watermark: int) -> bool:
    ends = [e["event_at"] for e in visit if e["event_type"] in ("exit", "complete")]
    return any(watermark > end for end in ends) or watermark > visit[-1]["event_at"] + GAP
