"""What the gates said of a day, at the end of its pipeline: from `ops.quality_log`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import psycopg
import structlog

from infra.database import pipeline_conninfo, postgres_answers
from infra.endpoints import Endpoints
from infra.settings import Settings

__all__ = ["QualityReport", "report"]

# A check that ran again counts as it ended last.
NEWEST = """
SELECT DISTINCT ON (check_name) check_name, passed FROM ops.quality_log
WHERE run_date = %s ORDER BY check_name, run_at DESC"""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReport:
    """`failed`: the checks that did not pass, of `checks` in all."""

    run_date: date
    checks: int
    failed: tuple[str, ...]


def report(settings: Settings, run_date: date) -> QualityReport:
    """Sum up the newest outcome of each check of a day, and log it."""
    url = Endpoints.read(settings.home).postgres
    with postgres_answers(), psycopg.connect(pipeline_conninfo(url)) as connection:
        outcomes = connection.execute(NEWEST, [run_date]).fetchall()
    failed = tuple(check for check, passed in outcomes if not passed)
    log.info("quality_report", run_date=run_date, checks=len(outcomes), failed=failed)
    return QualityReport(run_date=run_date, checks=len(outcomes), failed=failed)
