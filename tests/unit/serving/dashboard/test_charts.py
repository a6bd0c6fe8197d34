"""Frames in, figures out: what is drawn, where, under which name."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
import pytest
from dashboard_frames import NOW, products, sessions

from serving.dashboard import charts
from serving.dashboard.group_tests import GROUPS, compared
from serving.dashboard.look import BLUE, GREY, ORANGE
from serving.dashboard.stored import DETAILS, RATES


def rounded(values: Iterable[float]) -> list[int]:
    """Sessions stand a little above or below their count."""
    return [round(value) for value in values]


def test_sessions_are_drawn_by_duration_and_page_views() -> None:
    figure = charts.session_scatter(
        sessions((10, 5, 3, False), (30, 20, 7, True), (90, 80, 9, True)), NOW
    )
    left, bought = figure.data
    assert (list(left.x), rounded(left.y)) == ([5.0], [3])
    assert (list(bought.x), rounded(bought.y)) == ([10.0], [7])  # the third ended an hour ago
    assert (left.name, bought.name) == ("no purchase (1)", "purchase (1)")
    assert bought.marker.color == ORANGE
    assert figure.layout.xaxis.title.text == "Duration (min)"
    assert figure.layout.yaxis.title.text == "Page views"


def test_of_many_sessions_the_newest_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "MOST_POINTS", 2)
    figure = charts.session_scatter(sessions(*((50 - n, 40 - n, n, False) for n in range(5))), NOW)
    assert rounded(figure.data[0].y) == [3, 4]


def test_the_most_viewed_product_is_on_top_under_its_name() -> None:
    details = pl.DataFrame(
        [
            {
                "product_id": "p2",
                "name": "신발",
                "category": "shoes",
                "cart_count_1h": 2,
                "purchase_count_1h": 1,
            }
        ],
        DETAILS,
    )
    top = products(p1=9, p2=4)
    figure = charts.top_products(top, details)
    (bars,) = figure.data
    assert (list(bars.y), list(bars.x)) == (["p2", "p1"], [4, 9])
    assert list(figure.layout.yaxis.ticktext) == ["신발", "p1"]
    assert "2 into carts, 1 bought" in bars.customdata[0]
    assert bars.customdata[1] == "p1<br>category unknown"


def test_two_rates_stand_in_a_row_for_each_name() -> None:
    rows = pl.DataFrame(
        [("romance", 90, 0.6, 0.2), ("action", 10, 0.5, None)], schema=RATES, orient="row"
    )
    figure = charts.rates(rows)
    exits, completions = figure.data
    assert list(exits.y) == ["action", "romance"]
    assert (list(exits.x), list(completions.x)) == ([None, 0.2], [0.5, 0.6])
    assert (exits.marker.color, completions.marker.color) == (ORANGE, BLUE)
    assert exits.marker.symbol != completions.marker.symbol  # not by colour alone


def test_groups_carry_their_intervals() -> None:
    known = pl.DataFrame(
        [("A", "3.0", 40, 0.5, None, None), ("B", "3.0", 50, 0.4, -0.9, 0.3)],
        schema=GROUPS,
        orient="row",
    )
    figure = charts.group_tests(compared(known), x="Exits per read")
    (points,) = figure.data
    assert list(points.y) == ["B · 3.0", "A · 3.0"]
    assert list(points.marker.color) == [BLUE, GREY]
    low, high = points.x[0] - points.error_x.arrayminus[0], points.x[0] + points.error_x.array[0]
    assert low == pytest.approx(0.2761, abs=1e-3)
    assert high == pytest.approx(0.5382, abs=1e-3)


def test_names_are_no_markup_and_short_enough_for_an_axis() -> None:
    evil = "<a href='javascript:x'>" + "y" * 40
    figure = charts.top_products(products(**{evil: 1}), pl.DataFrame(schema=DETAILS))
    (label,) = figure.layout.yaxis.ticktext
    assert label.startswith("&lt;a href")
    assert label.endswith("…")
    assert "<a" not in figure.data[0].customdata[0]


def test_equal_names_of_two_products_are_two_rows() -> None:
    details = pl.DataFrame([{"product_id": p, "name": "same"} for p in ("p1", "p2")], DETAILS)
    figure = charts.top_products(products(p1=2, p2=1), details)
    assert list(figure.data[0].y) == ["p2", "p1"]
    assert list(figure.layout.yaxis.ticktext) == ["same", "same"]
