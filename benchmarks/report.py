"""What the benchmarks print: the answer first, then a small table, then the conditions."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.batch import Batch
from benchmarks.freshness import Floor, Freshness
from benchmarks.rates import QUANTILES, ratio_line
from benchmarks.state_growth import Growth
from benchmarks.throughput import Figure, ratios

__all__ = ["batch", "freshness", "state_growth", "table", "throughput"]

Conditions = Mapping[str, object]
MB = 1 << 20
# column -> part of the process tree
MEMORY = {"driver MB": "driver", "JVM MB": "jvm", "workers MB": "workers"}


def throughput(figures: Sequence[Figure], conditions: Conditions, *, as_json: bool) -> str:
    """The ratios to the peers, then events/s of every path."""
    found = ratios(figures)
    if as_json:
        return _document(conditions, ratios=found, figures=[figure.to_json() for figure in figures])
    head = ("path", "steady/s", "overall/s", "events", "epochs", "changed rows", "host took")
    rows = [
        (
            figure.path,
            f"{figure.steady:,.0f}",
            f"{figure.overall:,.0f}",
            f"{figure.events:,}",
            f"{figure.epochs or '':}",
            f"{figure.rows:,}" if figure.epochs else "",
            f"{figure.stolen:.0%}",
        )
        for figure in figures
    ]
    spent = [f"{f.path}: {_stages(f.stages, 1)}" for f in figures if f.stages]
    parts = (ratio_line(found), table(head, rows), "\n".join(spent))
    return _text(*parts, conditions=conditions)


def freshness(figures: Sequence[Freshness], conditions: Conditions, *, as_json: bool) -> str:
    """Milliseconds until an event can be read, then what they are made of."""
    if as_json:
        return _document(conditions, figures=[figure.to_json() for figure in figures])
    head = ("events/s", *QUANTILES, "samples", "unread", "sent/s", "host took")
    rows = [
        (
            f"{figure.rate:,.0f}",
            *(f"{milliseconds:,.0f}" for milliseconds in _all_quantiles(figure.latency_ms)),
            f"{figure.samples:,}",
            f"{figure.unread:,}",
            f"{figure.sent_per_second:,.0f}",
            f"{figure.stolen:.0%}",
        )
        for figure in figures
    ]
    floors = [f"at {figure.rate:,.0f} events/s {_floor(figure.floor)}" for figure in figures]
    title = "ms from an event's due time until Redis shows it"
    return _text(title, table(head, rows), "\n".join(floors), conditions=conditions)


def state_growth(figures: Sequence[Growth], conditions: Conditions, *, as_json: bool) -> str:
    """Events/s by the number of live keys, and the ratio to the smallest number."""
    of_smallest = [figure.steady / (figures[0].steady or 1.0) for figure in figures]
    if as_json:
        documents = zip(figures, of_smallest, strict=True)
        return _document(
            conditions,
            figures=[{**figure.to_json(), "of_smallest": ratio} for figure, ratio in documents],
        )
    head = ("idle keys", "live keys", "steady/s", "of smallest", "state MB", *MEMORY, "host took")
    rows = [
        (
            f"{figure.keys:,}",
            f"{figure.live:,}",
            f"{figure.steady:,.0f}",
            f"{ratio:.2f}",
            f"{figure.state_bytes / MB:,.0f}",
            *(f"{figure.memory_bytes.get(part, 0) / MB:,.0f}" for part in MEMORY.values()),
            f"{figure.stolen:.0%}",
        )
        for figure, ratio in zip(figures, of_smallest, strict=True)
    ]
    return _text(table(head, rows), conditions=conditions)


def batch(figure: Batch, conditions: Conditions, *, as_json: bool) -> str:
    """Seconds and events/s of every step of a day, then of the load and of all."""
    if as_json:
        return _document(conditions, figures=[figure.to_json()])
    steps = [*figure.seconds.items(), ("load", figure.load), ("all", figure.total)]
    rows = [(name, f"{seconds:,.1f}", f"{figure.events / seconds:,.0f}") for name, seconds in steps]
    title = (
        f"{figure.events:,} events of a day ({figure.bytes / MB:,.0f} MB), "
        f"{figure.failed:,} left out; host took {figure.stolen:.0%}"
    )
    return _text(title, table(("step", "seconds", "events/s"), rows), conditions=conditions)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as needed, the first to the left, figures to the right."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _all_quantiles(latency_ms: Mapping[str, float]) -> list[float]:
    return [latency_ms.get(name, math.nan) for name in QUANTILES]


def _floor(floor: Floor) -> str:
    if not floor.parts:
        return "too few epochs ended to say what they are made of: let it run longer"
    return (
        f"an epoch ended every {floor.every:.3f} s ({floor.epochs} epochs): "
        f"{_stages(floor.parts, 3)}; between epochs {floor.between:.3f} s"
    )


def _stages(stages: Mapping[str, float], digits: int) -> str:
    return ", ".join(f"{stage} {seconds:.{digits}f} s" for stage, seconds in stages.items())


def _document(conditions: Conditions, **found: object) -> str:
    return json.dumps({"conditions": conditions, **found})


def _text(*parts: str, conditions: Conditions) -> str:
    line = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in conditions.items())
    return "\n\n".join([*filter(None, parts), line])
