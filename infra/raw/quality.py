"""What the seven checks found: rows of `ops.quality_log`, and the list of what was left out."""

from __future__ import annotations

from datetime import date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from expectations.checks import Outcome, Verdict
from infra.private_files import write_private

__all__ = ["is_passed", "left_out_file", "log_verdict", "write_left_out"]

INSERT = """
INSERT INTO ops.quality_log
    (run_id, run_at, run_date, check_name, checked, failed, rate, passed, examples)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"""


def is_passed(outcome: Outcome, least: float) -> bool:
    """Whether the share that passed is at least `least`, exactly as that is written."""
    return outcome.checked - outcome.failed >= Fraction(repr(least)) * outcome.checked


def log_verdict(
    connection: psycopg.Connection[Any],
    verdict: Verdict,
    *,
    run_id: str,
    run_at: datetime,
    run_date: date,
    least: float,
) -> None:
    """One row for each check and one, `all`, for the events that fail none; commits."""
    outcomes = (*verdict.outcomes, verdict.total)
    rows = [
        (
            *(run_id, run_at, run_date, one.check, one.checked, one.failed, one.rate),
            is_passed(one, least),
            Jsonb(list(one.examples)),
        )
        for one in outcomes
    ]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(INSERT, rows)


def left_out_file(home: Path, run_date: date) -> Path:
    """Where the failing events of the last load of a day are listed."""
    return home / "quality" / f"{run_date}.left-out.jsonl"


def write_left_out(home: Path, run_date: date, verdict: Verdict) -> Path:
    """One line for each check that an event fails: where it stands, its id, why. Ids are personal
    in the wider sense, so only the owner reads it.
    """
    path = left_out_file(home, run_date)
    write_private(path, verdict.failures.write_ndjson())
    return path
