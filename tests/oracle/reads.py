"""Reads of episodes, the obvious way: every visit of every session is one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from oracle.sessions import features_of, visits

__all__ = ["reads", "reads_by"]

Row = dict[str, Any]


def reads(events: Iterable[Mapping[str, Any]], genres: Mapping[str, str]) -> list[Row]:
    sessions: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for event in sorted(events, key=lambda e: (e["event_at"], e["event_id"])):
        sessions[event["session_id"], event["episode_id"]].append(event)
    return [
        read(session, episode, features_of(visit, 0, genres.get(episode)))
        for (session, episode), mine in sessions.items()
        for visit in visits(mine)
    ]


def read(session: str, episode: str, features: Row) -> Row:
    at = features["ended_at"]
    return {
        "event_at": at,
        "event_id": f"{session}\x1f{episode}\x1f{features['started_at']}",
        "episode_id": episode,
        "user_id": features["user_id"],
        "country": features["country"],
        "genre": features["genre"],
        "experiment_group": features["experiment_group"],
        "ui_version": features["ui_version"] or "",
        "hour_of_day": datetime.fromtimestamp(at / 1e6, UTC).hour,
        "completion_rate": features["completion_rate"],
        "exited": float(features["is_exit_tag"]),
        "avg_scroll_ratio": features["avg_scroll_ratio"],
        "dwell_time_ms": features["dwell_time_ms"],
    }


def reads_by(found: Iterable[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for one in found:
        key = tuple(one[name] for name in names)
        if None not in key:
            groups[key].append(one)
    return groups
