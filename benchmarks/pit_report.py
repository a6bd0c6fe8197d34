"""What `userflow bench pit` prints: the ratio first, then the table, then the conditions."""

from __future__ import annotations

import json
from collections.abc import Mapping

from benchmarks.pit import FEAST, Pit
from benchmarks.rates import ratio_line
from benchmarks.report import table

__all__ = ["text"]

MB = 1 << 20


def text(pit: Pit, conditions: Mapping[str, object], *, as_json: bool) -> str:
    """How many times Feast's labels/s, then what each way took."""
    if as_json:
        return json.dumps({"conditions": conditions, **pit.to_json()})
    ratio = "" if pit.ratio is None else f"{ratio_line({FEAST: pit.ratio})}; {_agreement(pit)}"
    log = (
        f"{pit.labels:,} labels, a log of {pit.rows:,} rows of {pit.readers:,} readers "
        f"({pit.log_bytes / MB:,.0f} MB)"
    )
    given = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in conditions.items())
    return "\n\n".join(filter(None, (ratio, _table(pit), log, given)))


def _agreement(pit: Pit) -> str:
    return "all values agree" if not pit.differences else f"{pit.differences:,} values differ"


def _table(pit: Pit) -> str:
    head = ("path", "labels/s", "seconds", "CPU s", "peak MB", "host took")
    rows = [
        (
            side.path,
            f"{side.labels_per_second:,.0f}",
            f"{side.seconds:.2f}",
            f"{side.cpu_seconds:.2f}",
            f"{side.peak_bytes / MB:,.0f}",
            f"{side.stolen:.0%}",
        )
        for side in pit.sides
    ]
    return table(head, rows)
