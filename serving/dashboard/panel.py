"""What every panel has: a frame with a title, a chart, or a sentence why there is nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import plotly.graph_objects as go
import polars as pl
import streamlit as st

from serving.dashboard.board import Seen
from serving.dashboard.look import CONFIG

__all__ = ["NOT_HEARD", "READS", "SHOP", "draw", "is_unheard", "not_stored", "nothing", "panel"]

SHOP = "`userflow stream --jobs commerce` and `userflow produce --domain commerce` bring some."
READS = "`userflow stream --jobs webtoon` and `userflow produce --domain webtoon` bring some."
NOT_HEARD = "Not known while Kafka does not answer."


@contextmanager
def panel(key: str, title: str, text: str) -> Iterator[None]:
    """A frame; `text` is what to know of what it shows."""
    with st.container(border=True, key=f"panel-{key}", height="stretch"):
        st.subheader(title, anchor=False, help=text)
        yield


def draw(key: str, figure: go.Figure, alt: str) -> None:
    """A chart that is redrawn in place; `alt` is for who cannot see it."""
    st.plotly_chart(figure, key=f"chart-{key}", config=dict(CONFIG), alt=alt)


def nothing(text: str) -> None:
    """Why there is nothing."""
    st.markdown(f":gray[:material/hourglass_empty:] {text}")


def not_stored(seen: Seen) -> None:
    """Nothing was read from PostgreSQL so far."""
    is_away = seen.stored.problem is not None
    nothing("Not known while PostgreSQL does not answer." if is_away else "One moment …")


def is_unheard(seen: Seen, heard: pl.DataFrame) -> bool:
    """Nothing was heard since nothing could be, which is not the same as that there is nothing."""
    return seen.topics is not None and heard.is_empty()
