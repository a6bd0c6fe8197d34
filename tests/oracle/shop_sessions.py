"""Sessions of shoppers, the obvious way: sort all, cut at every gap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

__all__ = ["commerce_sessions", "cut", "derived_sessions", "sessions_of_groups", "sessions_of_user"]

MINUTE = 60_000_000
Event = Mapping[str, Any]
Row = dict[str, Any]


def by(events: Iterable[Event], field: str) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda e: (e["event_at"], e["event_id"])):
        if event[field] is not None:
            found[event[field]].append(event)
    return found


def cut(events: Sequence[Event], gap: int) -> list[list[Event]]:
    parts = [[events[0]]]
    for before, event in pairwise(events):
        if event["event_at"] - before["event_at"] > gap:
            parts.append([])
        parts[-1].append(event)
    return parts


def commerce_sessions(events: Iterable[Event]) -> dict[tuple[Any, ...], Row]:
    return {
        (session,): session_row(cut(mine, 30 * MINUTE)[-1])
        for session, mine in by(events, "session_id").items()
    }


def session_row(events: Sequence[Event]) -> Row:
    kinds = [event["event_type"] for event in events]
    known = [event["user_id"] for event in events if event["user_id"] is not None]
    start, end = events[0]["event_at"], events[-1]["event_at"]
    paid = [event["total_amount"] for event in events if event["event_type"] == "purchase"]
    pages = {event["page_url"] for event in events if event["event_type"] == "page_view"}
    return {
        "user_id": known[0] if known else None,
        "start_time": start,
        "end_time": end,
        "duration_ms": (end - start) // 1000,
        "page_views": kinds.count("page_view"),
        "clicks": kinds.count("click"),
        "unique_pages": len(pages),
        "cart_adds": kinds.count("add_to_cart"),
        "purchases": kinds.count("purchase"),
        "revenue": sum((amount for amount in paid if amount is not None), 0.0),
        "has_conversion": "purchase" in kinds,
    }


def derived_sessions(events: Iterable[Event]) -> dict[tuple[Any, ...], Row]:
    return {
        (user, part[0]["event_at"]): {
            "event_count": len(part),
            "duration_seconds": (part[-1]["event_at"] - part[0]["event_at"]) / 1_000_000,
        }
        for user, mine in by(events, "user_id").items()
        for part in cut(mine, 10 * MINUTE)
    }


def sessions_of_user(events: Iterable[Event], like: Row) -> list[Row]:
    """The derived sessions as rows for windows; each counts at its last event."""
    return [
        dict.fromkeys(like)
        | {"event_type": "session", "event_at": part[-1]["event_at"], "event_id": ""}
        for mine in by(events, "user_id").values()
        for part in cut(mine, 10 * MINUTE)
    ]


def sessions_of_groups(events: Iterable[Event]) -> dict[str, list[Row]]:
    """Every visit of every session, by the test group of its first event."""
    found: dict[str, list[Row]] = defaultdict(list)
    for mine in by(events, "session_id").values():
        for part in cut(mine, 30 * MINUTE):
            if (group := part[0]["experiment_group"]) is not None:
                row = session_row(part)
                found[group].append(
                    {
                        "event_at": row["end_time"],
                        "event_id": "",
                        "revenue": row["revenue"],
                        "converted": float(row["has_conversion"]),
                    }
                )
    return found
