"""The gates' part of `ops.quality_log`: what was found, and what was found on the days before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from expectations.outcome import Outcome
from expectations.suites.history import DAYS, History

__all__ = ["GateReport", "read_history", "write_outcomes"]

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """What a gate found. `docs`: the first page of the Data Docs."""

    suite: str
    run_date: date
    run_id: str
    outcomes: tuple[Outcome, ...]
    docs: Path

    @property
    def stops(self) -> list[Outcome]:
        """The expectations that failed and stop what comes next."""
        return [one for one in self.outcomes if not one.passed and one.severity == "stop"]

    @property
    def warnings(self) -> list[Outcome]:
        """Those that failed and stop nothing."""
        return [one for one in self.outcomes if not one.passed and one.severity == "warn"]

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return {
            "suite": self.suite,
            "run_date": self.run_date.isoformat(),
            "run_id": self.run_id,
            "passed": not self.stops,
            "stops": len(self.stops),
            "warnings": len(self.warnings),
            "docs": str(self.docs),
            "expectations": [one.to_json() for one in self.outcomes],
        }


def write_outcomes(connection: Connection, report: GateReport) -> None:
    """Add one row for each expectation, named `gx:<suite>:<table>:<column>.<check>`."""
    now = datetime.now(UTC)
    rows = [
        (
            report.run_id,
            now,
            report.run_date,
            f"{_prefix(report.suite)}{one.name}",
            one.checked,
            one.failed,
            1 - one.failed / one.checked if one.checked else None,
            one.passed,
            Jsonb({"severity": one.severity, **one.details}),
        )
        for one in report.outcomes
    ]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ops.quality_log (run_id, run_at, run_date, check_name, checked, failed, "
            "rate, passed, examples) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )


def read_history(connection: Connection, suite: str, run_date: date) -> Mapping[str, History]:
    """By table, what was observed on the days before: one figure a day, that of its last run."""
    found = connection.execute(
        "SELECT DISTINCT ON (check_name, run_date) check_name, "
        "CAST(examples ->> 'observed' AS double precision) FROM ops.quality_log "
        "WHERE run_date >= %s AND run_date < %s AND starts_with(check_name, %s) "
        "AND jsonb_typeof(examples -> 'observed') = 'number' "
        "ORDER BY check_name, run_date, run_at DESC",
        [run_date - timedelta(days=DAYS), run_date, _prefix(suite)],
    )
    history: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for name, observed in found:
        table, check = name.removeprefix(_prefix(suite)).rsplit(":", 1)
        history[table][check].append(observed)
    return history


def _prefix(suite: str) -> str:
    return f"gx:{suite}:"
