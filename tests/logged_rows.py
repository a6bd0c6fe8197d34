"""Rows of feature logs, one of some views."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

__all__ = ["ROW", "ROWS", "START"]

START = datetime(2026, 1, 1, tzinfo=UTC)
ROW: dict[str, Any] = {
    "event_at": START,
    "available_at": START,
    "feature_version": 1,
    "batch_id": 0,
    "is_deleted": False,
    "generation": 1,
}
ROWS = {
    "user_features": {"user_id": "007", "country": "KR", "last_episode_ids": ["e1", "e2"]},
    "session_features": {"session_id": "s1", "episode_id": "e1", "country": "JP"},
    "segment_features": {"country": "KR", "genre": "drama", "hour_of_day": 3, "read_count_7d": 9},
    "product_features": {"product_id": "p1", "view_count_1h": 5},
    "derived_session_features": {"user_id": "007", "session_start": START, "event_count": 2},
}
