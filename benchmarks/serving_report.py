"""What `userflow bench serving` prints: the ratios first, then the table, then the conditions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from benchmarks.rates import ratio_line
from benchmarks.report import table
from benchmarks.serving import OURS, OURS_AS_FEAST, Served, ratios

__all__ = ["text"]


def text(figures: Sequence[Served], conditions: Mapping[str, object], *, as_json: bool) -> str:
    """How many times Feast's requests/s, then milliseconds and requests/s of every path."""
    found = ratios(figures)
    if as_json:
        documents = [figure.to_json() for figure in figures]
        return json.dumps({"conditions": conditions, "ratios": found, "figures": documents})
    named = {f"Feast's requests/s for {_entities(size)}": ratio for size, ratio in found.items()}
    line = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in conditions.items())
    return "\n\n".join(filter(None, (ratio_line(named), _table(figures), line)))


def _entities(size: str) -> str:
    return f"{size} entity" if size == "1" else f"{size} entities"


def _table(figures: Sequence[Served]) -> str:
    head = (
        "path",
        "entities",
        "p50 ms",
        "p99 ms",
        "max ms",
        "answers",
        "requests/s",
        "not Redis",
        "503",
        "host took",
    )
    rows = [
        (
            figure.path,
            str(figure.entities),
            *(_milliseconds(figure.latency_ms.get(name)) for name in ("p50", "p99", "max")),
            f"{figure.requests:,}",
            f"{figure.per_second:,.1f}",
            f"{figure.elsewhere:.1%}" if figure.path in (OURS, OURS_AS_FEAST) else "",
            f"{figure.unavailable:,}",
            f"{figure.stolen:.0%}",
        )
        for figure in figures
    ]
    return table(head, rows)


def _milliseconds(value: float | None) -> str:
    return f"{math.nan if value is None else value:.2f}"
