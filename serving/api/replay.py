"""`GET /v1/sessions/{session_id}/replay`: what happened in a session, event by event."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from serving.api.auth import needs
from serving.api.documents import ErrorBody
from serving.api.keys import Key
from serving.api.services import Services, services_of
from serving.errors import NotFound, Unavailable
from serving.postgres import Postgres
from serving.replay.archive import Days

__all__ = ["router"]

router = APIRouter(tags=["sessions"])
MOST_EVENTS = 10_000
# A row of online is of the newest visit; an older one of the same session began before it.
WHEN = """
    SELECT greatest(min(began) AT TIME ZONE 'UTC' - interval '1 day', '0001-01-01')::date,
           (max(ended) AT TIME ZONE 'UTC')::date
    FROM (
        SELECT started_at AS began, ended_at AS ended
        FROM online.session_features WHERE session_id = %s
        UNION ALL
        SELECT start_time, end_time
        FROM online.commerce_session_features WHERE session_id = %s
    ) AS known"""
EXAMPLE = {
    "session_id": "s-7",
    "event_count": 2,
    "started_at": "2026-01-01T12:00:00Z",
    "ended_at": "2026-01-01T12:00:04Z",
    "duration_ms": 4000,
    "is_truncated": False,
    "events": [
        {
            "domain": "webtoon",
            "event_id": "e-1",
            "event_at": "2026-01-01T12:00:00Z",
            "offset_ms": 0,
            "user_id": "u-42",
            "episode_id": "ep-7",
            "event_type": "enter",
        },
    ],
}


@router.get(
    "/v1/sessions/{session_id:path}/replay",
    responses={
        200: {"content": {"application/json": {"example": EXAMPLE}}},
        404: {"model": ErrorBody, "description": "No such session."},
    },
)
async def replay(
    session_id: str,
    services: Annotated[Services, Depends(services_of)],
    key: Annotated[Key, Depends(needs("read"))],
    limit: Annotated[int, Query(ge=1, le=MOST_EVENTS, description="Most events.")] = 1_000,
) -> dict[str, Any]:
    """The events of a session in the order in which they happened, from the archive.

    Addresses and user agents are left out. `offset_ms` counts from the first event.
    """
    del key
    if services.archive is None:
        raise Unavailable("This server has no archive.")
    unknown = NotFound(f"There is no session {session_id[:200]!r}.")
    days = await _days(services.postgres, session_id)
    if days is None:
        raise unknown
    events = await services.archive.events_of(session_id, days, limit + 1)
    if not events:
        raise unknown  # its epoch is still being archived
    return _answer(session_id, events[:limit], is_truncated=len(events) > limit)


async def _days(postgres: Postgres, session_id: str) -> Days | None:
    """The days that a session may have events of; null if nobody knows it."""
    if "\x00" in session_id:
        return None
    [(began, ended)] = await postgres.fetch(WHEN, [session_id, session_id])
    return None if began is None else Days(began, ended)


def _answer(session_id: str, events: list[dict[str, Any]], *, is_truncated: bool) -> dict[str, Any]:
    first, last = events[0]["event_at"], events[-1]["event_at"]
    return {
        "session_id": session_id,
        "event_count": len(events),
        "started_at": _iso(first),
        "ended_at": _iso(last),
        "duration_ms": (last - first) // timedelta(milliseconds=1),
        "is_truncated": is_truncated,
        "events": [_event(event, first) for event in events],
    }


def _event(event: dict[str, Any], first: datetime) -> dict[str, Any]:
    offset_ms = (event["event_at"] - first) // timedelta(milliseconds=1)
    return {**event, "event_at": _iso(event["event_at"]), "offset_ms": offset_ms}


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
