"""What depends on all rows of a view, one row at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist, median
from typing import Any

__all__ = ["compared", "of_episodes"]

Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]


def of_episodes(rows: Rows, genres: Mapping[str, str]) -> Rows:
    order = sorted(rows, key=lambda key: (-rows[key]["read_count_24h"], key))
    return {
        (episode,): row
        | {
            "genre": genres.get(episode),
            "current_popularity_rank": order.index((episode,)) + 1,
            "content_quality_score": (score := quality(episode, rows, genres)),
            "quality_label": "boost" if score >= 60 else "exclude" if score <= 40 else "neutral",
        }
        for (episode,), row in rows.items()
    }


def quality(episode: str, rows: Rows, genres: Mapping[str, str]) -> float:
    mine = rows[episode,]
    reads = mine["read_count_7d"]
    if not reads:
        return 50.0
    usual = [
        row
        for (other,), row in rows.items()
        if genres.get(other) == genres.get(episode) and row["read_count_7d"]
    ]

    def middle(name: str) -> float:
        return float(median(row[name] for row in usual))

    completion = 4 * (mine["avg_completion_rate_7d"] - middle("avg_completion_rate_7d"))
    exits = 4 * (middle("exit_rate_7d") - mine["exit_rate_7d"])
    dwell, usual_dwell = mine["avg_dwell_time_ms_7d"], middle("avg_dwell_time_ms_7d")
    if dwell and usual_dwell:
        doublings = math.log2(dwell / usual_dwell)
    elif dwell == usual_dwell:
        doublings = 0.0
    else:
        doublings = math.inf if dwell else -math.inf
    parts = zip((0.5, 0.3, 0.2), (completion, exits, doublings), strict=True)
    advantage = sum(weight * max(-1.0, min(1.0, value)) for weight, value in parts)
    return 50 + 50 * reads / (reads + 20) * advantage


def compared(rows: Rows, rate: str, count: str) -> Rows:
    """Each group against A, with what else the key says being the same."""
    return {key: row | against_a(key, rows, rate, count) for key, row in rows.items()}


def against_a(key: tuple[Any, ...], rows: Rows, rate: str, count: str) -> Row:
    other = rows.get(("A", *key[1:]))
    found: Row = {}
    for window in ("1h", "24h", "7d"):
        z = None
        if other is not None and key[0] != "A":
            z = score(rows[key], other, f"{rate}_{window}", f"{count}_{window}")
        found[f"z_{window}"] = z
        found[f"p_value_{window}"] = None if z is None else 2 * NormalDist().cdf(-abs(z))
    return found


def score(mine: Row, theirs: Row, rate: str, count: str) -> float | None:
    n, m = mine[count], theirs[count]
    if not n or not m:
        return None
    pooled = (mine[rate] * n + theirs[rate] * m) / (n + m)
    variance = pooled * (1 - pooled) * (1 / n + 1 / m)
    return (mine[rate] - theirs[rate]) / math.sqrt(variance) if variance > 0 else None
