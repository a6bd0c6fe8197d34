"""Panels of everybody: what is done in the shop, how episodes are read, what tests say."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import streamlit as st

from serving.dashboard import charts, kpis
from serving.dashboard.board import Seen
from serving.dashboard.group_tests import compared
from serving.dashboard.panel import (
    NOT_HEARD,
    READS,
    SHOP,
    draw,
    is_unheard,
    not_stored,
    nothing,
    panel,
)
from serving.dashboard.stored import DETAILS, WINDOWS
from serving.dashboard.words import NOTHING, ago, number, percent

__all__ = ["by_country", "by_genre", "products", "sessions", "tests"]

WINDOW = "24h"
SMALL_P = 0.0001
COLUMNS = {
    "n": "n",
    "rate": "rate",
    "change": "vs A, points",
    "interval": "95 % interval",
    "z": "z",
    "p": "p",
}


def sessions(seen: Seen) -> None:
    """Duration against page views."""
    text = "Sessions of the shop whose last event is in the last hour, the newest 1,500 of them."
    with panel("sessions", "Sessions of the last hour", text):
        lately = kpis.ended_in(seen.heard.sessions, seen.now, kpis.HOUR)
        if is_unheard(seen, lately):
            nothing(NOT_HEARD)
        elif lately.is_empty():
            nothing(f"No session in the last hour{_newest(seen)}. {SHOP}")
        else:
            figure = charts.session_scatter(lately, seen.now)
            draw("sessions", figure, "Duration and page views of sessions, by whether they bought")


def _newest(seen: Seen) -> str:
    ended = seen.heard.sessions["end_time"].sort(descending=True).to_list()
    return f"; the newest is from {ago(ended[0], seen.now)}" if ended else ""


def products(seen: Seen) -> None:
    """What is looked at now."""
    with panel("products", "Top 10 products", "By views in the last five minutes."):
        top = kpis.top_products(seen.heard.products, seen.now, kpis.TOP)
        if is_unheard(seen, top):
            nothing(NOT_HEARD)
        elif top.is_empty():
            nothing(f"No product was viewed in the last five minutes. {SHOP}")
        else:
            stored = seen.stored.value
            known = stored.products if stored else pl.DataFrame(schema=DETAILS)
            draw("products", charts.top_products(top, known), "The ten products viewed most")


def by_genre(seen: Seen) -> None:
    """How reads end, genre by genre."""
    rows = seen.stored.value.by_genre if seen.stored.value else None
    _rates(seen, "genre", "Completion and exit by genre", rows)


def by_country(seen: Seen) -> None:
    """How reads end, country by country."""
    rows = seen.stored.value.by_country if seen.stored.value else None
    _rates(seen, "country", "Completion and exit by country", rows)


def _rates(seen: Seen, key: str, title: str, rows: pl.DataFrame | None) -> None:
    text = f"Webtoon reads of the last seven days; those {charts.MOST_NAMES} with most reads."
    with panel(key, title, text):
        if rows is None:
            not_stored(seen)
        elif rows.is_empty():
            nothing(f"No episode was read in the last seven days. {READS}")
        else:
            draw(key, charts.rates(rows), f"{title}, a row each")


def tests(seen: Seen) -> None:
    """The groups of the tests, beside group A."""
    text = (
        "Bars are 95 % intervals: of a rate Wilson's, of a difference Newcombe's. z and p: the"
        " pooled two-proportion test against group A, two-sided, for each group alone."
    )
    with panel("tests", "A/B comparison", text):
        window = st.segmented_control(
            "Window", WINDOWS, default=WINDOW, key="window", label_visibility="collapsed"
        )
        stored = seen.stored.value
        if stored is None:
            not_stored(seen)
            return
        left, right = st.columns(2)
        with left:
            st.markdown("**Readers: exit rate** by group and interface")
            _test("reading", stored.reading_tests[window or WINDOW], "Exits per read", READS)
        with right:
            st.markdown("**Shoppers: conversion rate** by group")
            _test("sales", stored.sales_tests[window or WINDOW], "Sessions with a purchase", SHOP)


def _test(key: str, groups: pl.DataFrame, x: str, hint: str) -> None:
    known = compared(groups)
    if known.is_empty():
        nothing(f"No group was seen in this window. {hint}")
        return
    draw(key, charts.group_tests(known, x=x), f"{x} of each group, with its interval")
    # A table that takes every cell as text or number: names of groups come from events.
    st.dataframe(
        _as_table(known),
        hide_index=True,
        key=f"table-{key}",
        column_config={
            name: st.column_config.TextColumn(label, alignment="right")
            for name, label in COLUMNS.items()
        },
    )


def _as_table(known: pl.DataFrame) -> pl.DataFrame:
    """Each cell as text: what cannot be said is a dash, and a small p is no zero."""
    rows = [
        {
            "group": charts.group_label(one["group"], one["beside"]),
            "n": number(one["count"]),
            "rate": percent(one["rate"], 2),
            "change": _or_dash(one["change"], lambda value: f"{100 * value:+.2f}"),
            "interval": _interval(one["change_low"], one["change_high"]),
            "z": _or_dash(one["z"], lambda value: f"{value:+.2f}"),
            "p": _or_dash(one["p_value"], _p),
        }
        for one in known.iter_rows(named=True)
    ]
    return pl.DataFrame(rows)


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return NOTHING
    return f"{100 * low:+.2f} … {100 * high:+.2f}"


def _or_dash(value: float | None, text: Callable[[float], str]) -> str:
    return NOTHING if value is None else text(value)


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= SMALL_P else f"< {SMALL_P:.4f}"
