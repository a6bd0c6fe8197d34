"""Alerts as the topic and as the table has them: the same ones, each once.

Two ways, so that they are seen while either Kafka or PostgreSQL is away.
"""

from __future__ import annotations

import polars as pl

from serving.dashboard.board import Seen

__all__ = ["newest", "together"]

KEY = ("event_id", "alert_type")
MOST = 50
SHOWN = ("event_at", "alert_type", "severity", "reason", "value", "threshold", "event_id")


def together(seen: Seen) -> pl.DataFrame:
    """Both, the newest first."""
    stored = [seen.stored.value.alerts] if seen.stored.value else []
    both = pl.concat([seen.heard.alerts, *stored]).unique(KEY, keep="any")
    return both.sort("event_at", *KEY, descending=[True, False, False])


def newest(alerts: pl.DataFrame) -> pl.DataFrame:
    """As many as one reads, for a table."""
    return alerts.head(MOST).select(SHOWN)
