"""The numbers at the top: each of a window that ends at `as_of`, beside the window before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

__all__ = [
    "ACTIVE",
    "HOUR",
    "TOP",
    "Change",
    "active_sessions",
    "active_trend",
    "alert_count",
    "alert_trend",
    "average_duration_s",
    "conversion_rate",
    "ended_in",
    "rate_trend",
    "top_products",
]

ACTIVE = timedelta(minutes=5)
HOUR = timedelta(hours=1)
STEPS = 12
TOP = 10
# The edge of a window is as sharp as that, and an epoch takes a while.
TILE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Change:
    """A number and the one before it; None where nothing can be said."""

    value: float | None
    before: float | None

    @property
    def difference(self) -> float | None:
        """How much it has grown."""
        if self.value is None or self.before is None:
            return None
        return self.value - self.before


def active_sessions(sessions: pl.DataFrame, as_of: datetime) -> Change:
    """Sessions with an event in the last five minutes, or around them."""
    return Change(_active(sessions, as_of), _active(sessions, as_of - ACTIVE))


def _active(sessions: pl.DataFrame, until: datetime) -> int:
    # Of a session only its first and last event are known; between them it was there.
    is_inside = (pl.col("start_time") <= until) & (pl.col("end_time") > until - ACTIVE)
    return sessions.filter(is_inside).height


def conversion_rate(sessions: pl.DataFrame, as_of: datetime) -> Change:
    """The share of sessions with a purchase, of those whose last event is in the last hour."""
    return _hourly(sessions, as_of, pl.col("has_conversion").mean())


def average_duration_s(sessions: pl.DataFrame, as_of: datetime) -> Change:
    """Mean seconds from first to last event of the same sessions."""
    return _hourly(sessions, as_of, pl.col("duration_ms").mean() / 1000)


def _hourly(sessions: pl.DataFrame, as_of: datetime, value: pl.Expr) -> Change:
    now, before = (
        ended_in(sessions, until, HOUR).select(value).item() for until in (as_of, as_of - HOUR)
    )
    return Change(now, before)


def ended_in(sessions: pl.DataFrame, until: datetime, length: timedelta) -> pl.DataFrame:
    """The sessions whose last event is in the window (until - length, until]."""
    return sessions.filter(_within("end_time", until, length))


def alert_count(alerts: pl.DataFrame, as_of: datetime) -> Change:
    """Alerts whose event is in the last hour."""
    now, before = (
        alerts.filter(_within("event_at", until, HOUR)).height for until in (as_of, as_of - HOUR)
    )
    return Change(now, before)


def active_trend(sessions: pl.DataFrame, as_of: datetime) -> list[float]:
    """Active sessions at each fifth minute of the last hour."""
    return [float(_active(sessions, until)) for until in _steps(as_of)]


def rate_trend(sessions: pl.DataFrame, as_of: datetime, column: str) -> list[float]:
    """The mean of a column for each five minutes of the last hour that have any."""
    found = (
        ended_in(sessions, until, ACTIVE).select(pl.col(column).cast(pl.Float64).mean()).item()
        for until in _steps(as_of)
    )
    return [value for value in found if value is not None]


def alert_trend(alerts: pl.DataFrame, as_of: datetime) -> list[float]:
    """Alerts in each five minutes of the last hour."""
    return [
        float(alerts.filter(_within("event_at", until, ACTIVE)).height) for until in _steps(as_of)
    ]


def _steps(as_of: datetime) -> list[datetime]:
    return [as_of - step * ACTIVE for step in reversed(range(STEPS))]


def _within(column: str, until: datetime, length: timedelta) -> pl.Expr:
    return (pl.col(column) > until - length) & (pl.col(column) <= until)


def top_products(products: pl.DataFrame, as_of: datetime, most: int) -> pl.DataFrame:
    """The products viewed most in the last five minutes, the most viewed first.

    A stream that stands still takes no count back: what is older says nothing of now.
    """
    is_now = (pl.col("view_count_5m") > 0) & (pl.col("event_at") > as_of - ACTIVE - TILE)
    viewed = products.filter(is_now)
    return viewed.sort("view_count_5m", "product_id", descending=[True, False]).head(most)
