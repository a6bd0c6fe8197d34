"""The naive oracle, which lives with the tests: it shares no code with what it judges."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from infra.errors import SetupError

__all__ = ["Findings", "Oracle", "Rows", "naive_oracle"]

TESTS = Path(__file__).parents[2] / "tests"
Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]


class Findings(NamedTuple):
    """What the rules over events find: (event id, rule), and (user, pattern, products, time)."""

    alerts: set[tuple[str, str]]
    detections: list[tuple[str, str, tuple[str, ...], int]]


class Oracle(NamedTuple):
    """`log`: accepted events, the final watermark, genres and categories, as one value; `rows`: of
    a view and a log, the row of every entity; `findings`: of a log.
    """

    log: Callable[[Sequence[Row], int, Mapping[str, str], Mapping[str, str]], Any]
    rows: Callable[[str, Any], Rows]
    findings: Callable[[Any], Findings]


def naive_oracle() -> Oracle:
    """The oracle of this checkout; raises `SetupError` where there are no tests."""
    if not (TESTS / "oracle").is_dir():
        raise SetupError(
            f"The naive oracle is not in {TESTS}: it comes with the tests, so run this from a "
            "checkout of the repository."
        )
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))
    views, patterns = import_module("oracle.views"), import_module("oracle.patterns")

    def findings(log: Any) -> Findings:
        events = views.with_categories(log)
        return Findings(
            patterns.alerts(events, log.watermark), patterns.detections(events, log.watermark)
        )

    return Oracle(views.Log, views.expected, findings)
