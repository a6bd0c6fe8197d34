"""Charts: frames in, figures out. Whoever calls has looked that there is something to draw.

Rows are told apart by the ids of what they show, and named shortly. Ids and names come from events,
where any character may stand, so that none of them reaches Plotly as markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zlib import crc32

import plotly.graph_objects as go
import polars as pl

from serving.dashboard.kpis import HOUR, ended_in
from serving.dashboard.look import BLUE, GREY, ORANGE, styled

__all__ = ["MOST_NAMES", "group_label", "group_tests", "rates", "session_scatter", "top_products"]

MOST_POINTS = 1_500
MOST_NAMES = 12
LONGEST = 28
ROW_PX = 30
SPREAD = 0.6
FRAME_PX = 95
CHART_PX = 360


def session_scatter(sessions: pl.DataFrame, as_of: datetime) -> go.Figure:
    """Duration and page views of the newest sessions of the last hour; colour: who bought."""
    newest = ended_in(sessions, as_of, HOUR).sort("end_time").tail(MOST_POINTS)
    figure = go.Figure()
    # Those who bought are drawn last, as they are few.
    for is_converted, name, colour, symbol in (
        (False, "no purchase", GREY, "circle-open"),
        (True, "purchase", ORANGE, "circle"),
    ):
        some = newest.filter(pl.col("has_conversion") == is_converted)
        figure.add_scatter(
            x=(some["duration_ms"] / 60_000).to_list(),
            y=[
                views + _aside(one) for one, views in some.select("session_id", "page_views").rows()
            ],
            customdata=[
                (plain(one), n) for one, n in some.select("session_id", "page_views").rows()
            ],
            mode="markers",
            name=f"{name} ({some.height:,})",
            marker={"color": colour, "symbol": symbol, "size": 7, "opacity": 0.7},
            hovertemplate="%{customdata[0]}<br>%{x:.1f} min, %{customdata[1]} page views"
            "<extra></extra>",
        )
    styled(figure, height=CHART_PX, x="Duration (min)", y="Page views")
    figure.update_xaxes(rangemode="tozero")
    return figure.update_yaxes(rangemode="tozero", tickformat="d")


def _aside(session: str) -> float:
    """A session stands a little above or below its count, always as much, so that many can be seen
    where counts are few.
    """
    return (crc32(session.encode()) % 1000 / 1000 - 0.5) * SPREAD


def top_products(products: pl.DataFrame, details: pl.DataFrame) -> go.Figure:
    """Bars of the views, the most viewed product on top; what is bought of it in the hover."""
    known = products.join(details, on="product_id", how="left").reverse()
    ids = known["product_id"].to_list()
    figure = go.Figure()
    figure.add_bar(
        x=known["view_count_5m"].to_list(),
        y=ids,
        customdata=[_said_of_product(one) for one in known.iter_rows(named=True)],
        orientation="h",
        marker={"color": BLUE},
        text=[f"{count:,}" for count in known["view_count_5m"]],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{customdata}<br>%{x:,} views in 5 min<extra></extra>",
    )
    styled(figure, height=CHART_PX, x="Views in the last 5 min")
    names = [name or product for name, product in zip(known["name"], ids, strict=True)]
    _name_rows(figure, ids, names)
    figure.update_yaxes(showgrid=False)
    return figure.update_xaxes(rangemode="tozero", tickformat="d")


def _said_of_product(one: dict[str, object]) -> str:
    said = [plain(f"{one['product_id']}"), plain(f"{one['category'] or 'category unknown'}")]
    carts, bought = one["cart_count_1h"], one["purchase_count_1h"]
    if carts is not None and bought is not None:
        said.append(f"{carts:,} into carts, {bought:,} bought in 1 h")
    return "<br>".join(said)


def rates(rows: pl.DataFrame) -> go.Figure:
    """Exit and completion rate of each name, the most read ones on top."""
    shown = rows.head(MOST_NAMES).reverse()
    ids = shown["name"].to_list()
    said = [(plain(name), count) for name, count in zip(ids, shown["read_count"], strict=True)]
    figure = go.Figure()
    for column, name, colour, symbol in (
        ("exit_rate", "exit rate", ORANGE, "diamond"),
        ("completion_rate", "completion rate", BLUE, "circle"),
    ):
        figure.add_scatter(
            x=shown[column].to_list(),
            y=ids,
            customdata=said,
            mode="markers",
            name=name,
            marker={"color": colour, "symbol": symbol, "size": 11},
            hovertemplate=f"%{{customdata[0]}}: {name} %{{x:.1%}}"
            "<br>of %{customdata[1]:,} reads<extra></extra>",
        )
    styled(figure, height=_height(ids), x="Rate over the reads of 7 days")
    _name_rows(figure, ids, ids)
    return figure.update_xaxes(tickformat=".0%", range=[-0.02, 1.02])


def group_tests(compared: pl.DataFrame, *, x: str) -> go.Figure:
    """The rate of each group with its interval; group A, which they are compared with, in grey."""
    shown = compared.reverse()
    ids = [group_label(*one) for one in shown.select("group", "beside").rows()]
    said = [(plain(name), count) for name, count in zip(ids, shown["count"], strict=True)]
    colours = [GREY if group == "A" else BLUE for group in shown["group"]]
    figure = go.Figure()
    figure.add_scatter(
        x=shown["rate"].to_list(),
        y=ids,
        customdata=said,
        error_x={
            "array": (shown["high"] - shown["rate"]).to_list(),
            "arrayminus": (shown["rate"] - shown["low"]).to_list(),
            "symmetric": False,
            "color": GREY,
            "thickness": 2,
            "width": 6,
        },
        mode="markers",
        marker={"color": colours, "size": 11},
        hovertemplate="%{customdata[0]}: %{x:.2%} of %{customdata[1]:,}<extra></extra>",
        showlegend=False,
    )
    styled(figure, height=_height(ids), x=x)
    _name_rows(figure, ids, ids)
    return figure.update_xaxes(tickformat=".1%")


def group_label(group: str, beside: str) -> str:
    """A group, and the user interface that it saw."""
    return f"{group} · {beside}" if beside else group


def _height(rows: Sequence[str]) -> int:
    return FRAME_PX + ROW_PX * max(3, len(rows))


def _name_rows(figure: go.Figure, rows: Sequence[str], names: Sequence[str]) -> None:
    labels = [plain(name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…") for name in names]
    figure.update_yaxes(tickvals=list(rows), ticktext=labels, type="category")


def plain(text: str) -> str:
    """Text that Plotly shows as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
