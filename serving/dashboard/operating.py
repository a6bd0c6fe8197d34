"""Panels of the operator: how soon, how far behind, what was found."""

from __future__ import annotations

import polars as pl
import streamlit as st

from serving.dashboard.alerts import newest, together
from serving.dashboard.board import Seen
from serving.dashboard.panel import not_stored, nothing, panel
from serving.dashboard.stored import Progress
from serving.dashboard.words import NOTHING, ago, number, seconds

__all__ = ["alerts", "streams"]


def streams(seen: Seen) -> None:
    """How soon an event can be read, and how much waits."""
    text = (
        "Event to readable: from an event's arrival until every store has it, in the last five"
        " minutes, as the running streams tell. Lag: records that no epoch has read."
    )
    with panel("streams", "Freshness and lag", text):
        stored = seen.stored.value
        if stored is None:
            not_stored(seen)
            return
        if not stored.progress:
            nothing("No stream has run yet: `userflow stream --jobs webtoon,commerce`.")
            return
        st.table([_job(seen, one) for one in stored.progress], border="horizontal")
        _degraded(seen, stored.degraded)


def _job(seen: Seen, one: Progress) -> dict[str, str]:
    fresh = (seen.freshness.value or {}).get(one.job)
    return {
        "job": one.job,
        "event → readable, p50": seconds(fresh.p50) if fresh else "not running",
        "p99": seconds(fresh.p99) if fresh else NOTHING,
        "lag, records": number(_lag(seen, one)),
        "last epoch": ago(one.committed_at, seen.now),
        "events in it": number(one.rows_in),
        "rejected": number(one.rejected),
        "watermark": ago(one.watermark, seen.now) if one.watermark else NOTHING,
    }


def _lag(seen: Seen, one: Progress) -> int | None:
    ends = seen.ends.value
    if not ends or seen.ends.problem:
        return None
    return sum(max(0, ends[place] - at) for place, at in one.offsets.items() if place in ends)


def _degraded(seen: Seen, sources: pl.DataFrame) -> None:
    with st.container(key="degraded"):
        if sources.is_empty():
            st.markdown(":green[:material/check_circle:] No source is degraded.")
        for one in sources.iter_rows(named=True):
            st.warning(
                f"**{one['topic']}** is degraded since {ago(one['since'], seen.now)}: "
                f"{one['share']:.1%} of {one['seen']:,} events in a minute broke the contract, "
                f"most of them with `{one['reason']}`. Look at `userflow dlq list`.",
                icon=":material/warning:",
            )


def alerts(seen: Seen) -> None:
    """What was found lately."""
    text = "Found by the rules over shoppers' events, or told of a source. Newest first, UTC."
    with panel("alerts", "Recent alerts", text):
        rows = newest(together(seen))
        if rows.is_empty():
            nothing("No alerts: nothing unusual was found in the last two hours.")
            return
        st.dataframe(
            rows,
            hide_index=True,
            key="table-alerts",
            column_config={
                "event_at": st.column_config.DatetimeColumn(
                    "time, UTC", format="YYYY-MM-DD HH:mm:ss", timezone="UTC"
                ),
                "alert_type": "alert",
                "value": st.column_config.NumberColumn(format="%.4g"),
                "threshold": st.column_config.NumberColumn("limit", format="%.4g"),
                "event_id": "event",
            },
        )
