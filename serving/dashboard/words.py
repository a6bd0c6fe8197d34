"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta

__all__ = ["NOTHING", "ago", "apart", "number", "percent", "points", "seconds", "signed", "utc"]

NOTHING = "—"
MINUTE, HOUR, DAY = 60, 3600, 86_400


def number(value: float | None) -> str:
    """A count."""
    return NOTHING if value is None else f"{value:,.0f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share."""
    return NOTHING if value is None else f"{value:.{digits}%}"


def points(value: float | None) -> str:
    """How far two shares are apart."""
    return NOTHING if value is None else f"{100 * value:.1f} points"


def seconds(value: float | None) -> str:
    """A duration: milliseconds below a second, minutes from two on."""
    if value is None:
        return NOTHING
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 2 * MINUTE:
        return f"{value:.1f} s"
    return f"{value / MINUTE:.1f} min"


def apart(value: float | None) -> str:
    """How far two durations are apart."""
    if value is None:
        return NOTHING
    return f"{value:.1f} s" if value < 2 * MINUTE else f"{value / MINUTE:.1f} min"


def signed(text: str, value: float) -> str:
    """A change as `st.metric` reads it: a minus in front where it fell."""
    return f"-{text}" if value < 0 else text


def ago(at: datetime, now: datetime) -> str:
    """How long ago, in one unit."""
    past = max(timedelta(), now - at).total_seconds()
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if past >= 2 * size:
            return f"{past / size:.0f} {unit} ago"
    return f"{past:.0f} s ago"


def utc(at: datetime) -> str:
    """A time of day, UTC."""
    return f"{at:%H:%M:%S} UTC"
