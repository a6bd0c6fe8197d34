"""Four numbers, each beside that of the period before, with how the hour went."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from serving.dashboard import kpis
from serving.dashboard.alerts import together
from serving.dashboard.board import Seen
from serving.dashboard.kpis import Change
from serving.dashboard.panel import is_unheard
from serving.dashboard.words import apart, number, percent, points, seconds, signed

__all__ = ["numbers"]

UNKNOWN = Change(None, None)
Text = Callable[[float | None], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """`before`: what the change is against. `colour`: whether more is better."""

    label: str
    change: Change
    trend: list[float]
    text: Text
    difference: Text
    before: str = "vs the hour before"
    colour: Literal["normal", "inverse", "off"] = "normal"


def numbers(seen: Seen) -> None:
    """All four in a row."""
    with st.container(key="panel-numbers"):
        shown = [*_of_sessions(seen), _of_alerts(seen)]
        for column, headline in zip(st.columns(len(shown)), shown, strict=True):
            with column:
                _show(headline)


def _of_sessions(seen: Seen) -> list[Headline]:
    shop, now = seen.heard.sessions, seen.now
    is_known = not is_unheard(seen, shop)
    return [
        Headline(
            label="Active sessions, 5 min",
            change=kpis.active_sessions(shop, now) if is_known else UNKNOWN,
            trend=kpis.active_trend(shop, now),
            text=number,
            difference=number,
            before="vs 5 min before",
        ),
        Headline(
            label="Conversion rate, 1 h",
            change=kpis.conversion_rate(shop, now),
            trend=kpis.rate_trend(shop, now, "has_conversion"),
            text=percent,
            difference=points,
        ),
        Headline(
            label="Average session, 1 h",
            change=kpis.average_duration_s(shop, now),
            trend=kpis.rate_trend(shop, now, "duration_ms"),
            text=seconds,
            difference=apart,
            colour="off",
        ),
    ]


def _of_alerts(seen: Seen) -> Headline:
    told = together(seen)
    is_known = seen.stored.value is not None or not is_unheard(seen, told)
    return Headline(
        label="Alerts, 1 h",
        change=kpis.alert_count(told, seen.now) if is_known else UNKNOWN,
        trend=kpis.alert_trend(told, seen.now),
        text=number,
        difference=number,
        colour="inverse",
    )


def _show(one: Headline) -> None:
    grown = one.change.difference
    is_moving = len(one.trend) > 1 and any(one.trend)
    st.metric(
        one.label,
        one.text(one.change.value),
        None if grown is None else signed(one.difference(abs(grown)), grown),
        delta_color=one.colour,
        delta_description=None if grown is None else one.before,
        border=True,
        height="stretch",
        chart_data=one.trend if is_moving else None,
        chart_type="area",
    )
