"""How the dashboard looks: few colours, which stay apart for people who see colours differently.

Taken from the palette of Okabe and Ito and brought to a lightness that stands out from white and
from nearly black alike. Blue is what is wanted, orange what is not, grey what is neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

__all__ = ["BLUE", "CONFIG", "GREY", "ORANGE", "THEME", "styled"]

BLUE, ORANGE, GREY = "#2f86c9", "#dd7a1b", "#8b93a1"
GRID = "rgba(128, 134, 146, 0.22)"
CONFIG: Mapping[str, Any] = {"displayModeBar": False, "scrollZoom": False, "responsive": True}

# Options of Streamlit's theme; light or dark is what the reader's system says.
THEME: Mapping[str, Any] = {
    "theme_baseRadius": "0.4rem",
    "theme_metricValueFontSize": "1.9rem",
    "theme_headingFontSizes": ["1.5rem", "1.15rem", "1rem", "0.95rem", "0.9rem", "0.85rem"],
    "theme_headingFontWeights": [600, 600, 600, 600, 600, 600],
    "theme_light_primaryColor": BLUE,
    "theme_light_backgroundColor": "#ffffff",
    "theme_light_secondaryBackgroundColor": "#f5f6f8",
    "theme_light_textColor": "#1d2430",
    "theme_light_borderColor": "#dfe3e8",
    "theme_dark_primaryColor": BLUE,
    "theme_dark_backgroundColor": "#12161c",
    "theme_dark_secondaryBackgroundColor": "#1b2129",
    "theme_dark_textColor": "#e4e8ee",
    "theme_dark_borderColor": "#2f3742",
}


def styled(figure: go.Figure, *, height: int, x: str, y: str = "") -> go.Figure:
    """The same frame around every chart: titles with units, a light grid, the legend on top."""
    figure.update_layout(
        height=height,
        margin={"l": 60 if y else 8, "r": 16, "t": 30, "b": 8},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "title": None},
        hoverlabel={"align": "left"},
        # New data keep the zoom that a reader has chosen.
        uirevision="kept",
        bargap=0.35,
    )
    axis = {"gridcolor": GRID, "zeroline": False, "automargin": True, "ticks": ""}
    figure.update_xaxes(title={"text": x, "standoff": 8}, **axis)
    figure.update_yaxes(title={"text": y, "standoff": 8} if y else None, **axis)
    return figure
