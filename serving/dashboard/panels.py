"""The panels: each shows what is seen, or in a sentence why there is nothing and what to run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import plotly.graph_objects as go
import polars as pl
import streamlit as st

from serving.dashboard import charts, kpis
from serving.dashboard.alerts import newest, together
from serving.dashboard.board import Seen
from serving.dashboard.group_tests import compared
from serving.dashboard.kpis import Change
from serving.dashboard.look import CONFIG
from serving.dashboard.stored import DETAILS, WINDOWS
from serving.dashboard.words import NOTHING, ago, number, percent, seconds, signed

__all__ = [
    "alerts",
    "by_country",
    "by_genre",
    "numbers",
    "products",
    "sessions",
    "streams",
    "tests",
]

SHOP = "`userflow stream --jobs commerce` and `userflow produce --domain commerce` bring some."
READS = "`userflow stream --jobs webtoon` and `userflow produce --domain webtoon` bring some."
NOT_KNOWN = "Not known while PostgreSQL does not answer."


@contextmanager
def _panel(key: str, title: str, text: str) -> Iterator[None]:
    with st.container(border=True, key=f"panel-{key}", height="stretch"):
        st.subheader(title, anchor=False, help=text)
        yield


def _draw(key: str, figure: go.Figure, alt: str) -> None:
    st.plotly_chart(figure, key=f"chart-{key}", config=dict(CONFIG), alt=alt)


def _nothing(text: str) -> None:
    st.markdown(f":gray[:material/hourglass_empty:] {text}")


def numbers(seen: Seen) -> None:
    """Four numbers, each beside that of the period before."""
    shop, now = seen.heard.sessions, seen.now
    told = together(seen)
    with st.container(key="panel-numbers"):
        columns = st.columns(4)
        with columns[0]:
            _number(
                "Active sessions, 5 min",
                kpis.active_sessions(shop, now),
                number,
                kpis.active_trend(shop, now),
                before="vs 5 min before",
            )
        with columns[1]:
            _number(
                "Conversion rate, 1 h",
                kpis.conversion_rate(shop, now),
                percent,
                kpis.rate_trend(shop, now, "has_conversion"),
                before="vs the hour before",
                difference=lambda value: f"{100 * value:.1f} points",
            )
        with columns[2]:
            _number(
                "Average session, 1 h",
                kpis.average_duration_s(shop, now),
                seconds,
                kpis.rate_trend(shop, now, "duration_ms"),
                before="vs the hour before",
                colour="off",
            )
        with columns[3]:
            _number(
                "Alerts, 1 h",
                kpis.alert_count(told, now),
                number,
                kpis.alert_trend(told, now),
                before="vs the hour before",
                colour="inverse",
            )


def _number(
    label: str,
    change: Change,
    text: Any,
    trend: list[float],
    *,
    before: str,
    difference: Any = None,
    colour: Any = "normal",
) -> None:
    grown = change.difference
    st.metric(
        label,
        text(change.value),
        None if grown is None else signed((difference or text)(abs(grown)), grown),
        delta_color=colour,
        delta_description=before if grown is not None else None,
        border=True,
        height="stretch",
        chart_data=trend if len(trend) > 1 and any(trend) else None,
        chart_type="area",
    )


def sessions(seen: Seen) -> None:
    """Duration against page views."""
    text = "Sessions of the shop whose last event is in the last hour, the newest 1,500 of them."
    with _panel("sessions", "Sessions of the last hour", text):
        lately = kpis.ended_in(seen.heard.sessions, seen.now, kpis.HOUR)
        if lately.is_empty():
            _nothing(f"No session in the last hour{_newest(seen)}. {SHOP}")
            return
        figure = charts.session_scatter(lately, seen.now)
        _draw("sessions", figure, "Duration and page views of sessions, by whether they bought")


def _newest(seen: Seen) -> str:
    last = seen.heard.sessions["end_time"].max()
    return f"; the newest is from {ago(last, seen.now)}" if last else ""  # type: ignore[arg-type]


def products(seen: Seen) -> None:
    """What is looked at now."""
    with _panel("products", "Top 10 products", "By views in the last five minutes."):
        top = kpis.top_products(seen.heard.products, seen.now, kpis.TOP)
        if top.is_empty():
            _nothing(f"No product was viewed in the last five minutes. {SHOP}")
            return
        known = seen.stored.value.products if seen.stored.value else pl.DataFrame(schema=DETAILS)
        _draw("products", charts.top_products(top, known), "The ten products viewed most")


def by_genre(seen: Seen) -> None:
    """How reads end, genre by genre."""
    _rates(seen, "genre", "Completion and exit by genre")


def by_country(seen: Seen) -> None:
    """How reads end, country by country."""
    _rates(seen, "country", "Completion and exit by country")


def _rates(seen: Seen, by: str, title: str) -> None:
    text = f"Webtoon reads of the last seven days, the {charts.MOST_NAMES} with most reads on top."
    with _panel(by, title, text):
        stored = seen.stored.value
        if stored is None:
            _nothing(NOT_KNOWN)
            return
        rows = stored.by_genre if by == "genre" else stored.by_country
        if rows.is_empty():
            _nothing(f"No episode was read in the last seven days. {READS}")
            return
        _draw(by, charts.rates(rows), f"{title}, a row each")


def tests(seen: Seen) -> None:
    """The groups of the tests, beside group A."""
    text = (
        "Bars are 95 % intervals: of a rate Wilson's, of a difference Newcombe's. z and p: the"
        " pooled two-proportion test against group A, two-sided, for each group alone."
    )
    with _panel("tests", "A/B comparison", text):
        window = st.segmented_control(
            "Window", WINDOWS, default="24h", key="window", label_visibility="collapsed"
        )
        stored = seen.stored.value
        if stored is None:
            _nothing(NOT_KNOWN)
            return
        left, right = st.columns(2)
        chosen = window or "24h"
        with left:
            st.markdown("**Readers: exit rate** by group and interface")
            _test("reading", stored.reading_tests[chosen], "Exits per read", READS)
        with right:
            st.markdown("**Shoppers: conversion rate** by group")
            _test("sales", stored.sales_tests[chosen], "Sessions with a purchase", SHOP)


def _test(key: str, groups: pl.DataFrame, x: str, hint: str) -> None:
    known = compared(groups)
    if known.is_empty():
        _nothing(f"No group was seen in this window. {hint}")
        return
    _draw(key, charts.group_tests(known, x=x), f"{x} of each group, with its interval")
    st.dataframe(
        known.select(
            pl.struct("group", "beside")
            .map_elements(lambda one: charts.group_label(**one), return_dtype=pl.String)
            .alias("group"),
            "count",
            rate=100 * pl.col("rate"),
            change=100 * pl.col("change"),
            interval=_interval(),
            z="z",
            p="p_value",
        ),
        hide_index=True,
        key=f"table-{key}",
        column_config={
            "count": st.column_config.NumberColumn("n", format="localized"),
            "rate": st.column_config.NumberColumn("rate %", format="%.2f"),
            "change": st.column_config.NumberColumn("vs A, points", format="%+.2f"),
            "interval": st.column_config.TextColumn("95 % interval"),
            "z": st.column_config.NumberColumn(format="%.2f"),
            "p": st.column_config.NumberColumn(format="%.4f"),
        },
    )


def _interval() -> pl.Expr:
    low, high = (100 * pl.col(name) for name in ("change_low", "change_high"))
    text = pl.format("{} to {}", low.round(2), high.round(2))
    return pl.when(pl.col("change").is_not_null()).then(text)


def streams(seen: Seen) -> None:
    """How soon an event can be read, and how much waits."""
    text = (
        "Event to readable: from an event's arrival until every store has it, in the last five"
        " minutes, as the running streams tell. Lag: records that no epoch has read."
    )
    with _panel("streams", "Freshness and lag", text):
        stored = seen.stored.value
        if stored is None:
            _nothing(NOT_KNOWN)
            return
        if not stored.progress:
            _nothing("No stream has run yet: `userflow stream --jobs webtoon,commerce`.")
            return
        st.table([_job(seen, one) for one in stored.progress], border="horizontal")
        _degraded(seen, stored.degraded)


def _job(seen: Seen, one: Any) -> dict[str, str]:
    ends = seen.ends.value or {}
    lag = sum(max(0, ends[place] - at) for place, at in one.offsets.items() if place in ends)
    fresh = (seen.freshness.value or {}).get(one.job)
    return {
        "job": one.job,
        "event → readable, p50": seconds(fresh.p50) if fresh else "not running",
        "p99": seconds(fresh.p99) if fresh else "",
        "lag, records": number(lag) if ends else NOTHING,
        "last epoch": ago(one.committed_at, seen.now),
        "events in it": number(one.rows_in),
        "rejected": number(one.rejected),
        "watermark": ago(one.watermark, seen.now) if one.watermark else NOTHING,
    }


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
    with _panel("alerts", "Recent alerts", text):
        rows = newest(together(seen))
        if rows.is_empty():
            _nothing("No alerts: nothing unusual was found in the last two hours.")
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
