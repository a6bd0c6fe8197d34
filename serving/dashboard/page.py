"""The page: panels from the questions of everybody to those of the operator, redrawn in place.

Everything below the title is one fragment that runs again every few seconds. It asks no store: it
shows what the board of the process knows, and where that is not what it should be it says so.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from serving.dashboard import headline, operating, panels
from serving.dashboard.board import Seen
from serving.dashboard.running import board
from serving.dashboard.words import ago, utc

__all__ = ["show"]

EVERY_S = 3
TITLE = "userflow"


def show() -> None:
    """The whole page."""
    st.set_page_config(page_title=TITLE, page_icon="📈", layout="wide")
    st.html(
        "<style>.block-container{padding-top:2.2rem;padding-bottom:3rem;max-width:1500px}</style>"
    )
    st.title(TITLE, anchor=False)
    _live()


@st.fragment(run_every=EVERY_S)
def _live() -> None:
    seen = board().look()
    st.caption(_when(seen.now), help="All times are UTC. Windows end now.")
    _troubles(seen)
    headline.numbers(seen)
    left, right = st.columns([3, 2])
    with left:
        panels.sessions(seen)
    with right:
        panels.products(seen)
    left, right = st.columns(2)
    with left:
        panels.by_genre(seen)
    with right:
        panels.by_country(seen)
    panels.tests(seen)
    operating.streams(seen)
    operating.alerts(seen)


def _when(now: datetime) -> str:
    text = f"Updated {now:%Y-%m-%d} {utc(now)}"
    zone = st.context.timezone
    try:
        local = now.astimezone(ZoneInfo(zone)) if zone else now
    except (ZoneInfoNotFoundError, ValueError):
        local = now
    return text if local.utcoffset() == now.utcoffset() else f"{text} ({local:%H:%M:%S} here)"


def _troubles(seen: Seen) -> None:
    """What cannot be read now, and how old is what is shown instead."""
    with st.container(key="troubles"):
        if seen.stored.problem:
            at = seen.stored.at
            known = f" What is shown of it is from {_ago(at, seen.now)}." if at else ""
            st.warning(f"{seen.stored.problem}{known}", icon=":material/database_off:")
        if problem := seen.topics or seen.ends.problem or seen.freshness.problem:
            st.warning(problem, icon=":material/cloud_off:")


def _ago(at: float, now: datetime) -> str:
    return ago(datetime.fromtimestamp(at, now.tzinfo), now)
