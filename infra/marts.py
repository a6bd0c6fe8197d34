"""The marts of a run date, built by dbt as the pipeline's role.

A run date is what was loaded; its events may be of other days. Those days are what is built: each
is replaced as a whole, from all events that stand in `raw.events` of it. Days that a run date once
had events of are remembered, so that a load without them takes them out of the marts too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg

from infra.database import pipeline_conninfo
from infra.dbt_process import PROJECT, Dbt, NodeResult, Say
from infra.endpoints import Endpoints
from infra.errors import MartsFailed
from infra.settings import Settings

__all__ = ["MartBuilt", "MartsBuilt", "build_marts", "mart_names"]

REMEMBER = """
INSERT INTO ops.mart_days (run_date, event_date)
SELECT DISTINCT run_date, (event_at AT TIME ZONE 'UTC')::date FROM raw.events WHERE run_date = %s
UNION SELECT %s, %s ON CONFLICT DO NOTHING"""
EVENT_DATES = "SELECT event_date FROM ops.mart_days WHERE run_date = %s ORDER BY event_date"
RUN_DATES = """
SELECT DISTINCT run_date FROM raw.events
WHERE (event_at AT TIME ZONE 'UTC')::date = ANY(%s) ORDER BY run_date"""
# A run date without events may be a mistyped one: features would forget everything.
NEWEST = """
SELECT coalesce(max(run_date), %s) FROM ops.mart_days AS built
WHERE EXISTS (SELECT FROM raw.events WHERE raw.events.run_date = built.run_date)"""
# Unit tests are of the models, not of a day: `make test` runs them.
TESTS = ("--exclude-resource-type", "unit_test", "--indirect-selection", "cautious")
SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class MartBuilt:
    """`rows`: how many rows were written."""

    name: str
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MartsBuilt:
    """`event_dates`: the days that were replaced; `tests`: how many data tests passed."""

    run_date: date
    event_dates: tuple[date, ...]
    marts: tuple[MartBuilt, ...]
    tests: int
    seconds: float

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return {
            "run_date": str(self.run_date),
            "event_dates": [str(day) for day in self.event_dates],
            "marts": {
                mart.name: {"rows": mart.rows, "seconds": round(mart.seconds, 2)}
                for mart in self.marts
            },
            "tests": self.tests,
            "seconds": round(self.seconds, 2),
        }

    def lines(self) -> list[str]:
        """For people."""
        days = ", ".join(map(str, self.event_dates))
        built = [f"{mart.name}: {mart.rows:,} rows ({mart.seconds:.1f} s)" for mart in self.marts]
        return [*built, f"{days}: built and tested ({self.tests} tests) in {self.seconds:.1f} s"]


@dataclass(frozen=True, slots=True)
class _Days:
    """The days to build, the run dates that have events of them, and the newest one of all."""

    event_dates: tuple[date, ...]
    run_dates: tuple[date, ...]
    as_of: date

    def variables(self) -> dict[str, object]:
        """As the models read them (dbt_project.yml)."""
        return {
            "event_dates": [str(day) for day in self.event_dates],
            "run_dates": [str(day) for day in self.run_dates],
            "as_of": str(self.as_of),
        }


def mart_names() -> list[str]:
    """The marts that there are."""
    return sorted(model.stem for model in (PROJECT / "models" / "marts").glob("*.sql"))


def build_marts(
    settings: Settings, run_date: date, select: Sequence[str] = (), *, say: Say = lambda _: None
) -> MartsBuilt:
    """Build and test the marts with the events of this run date; `select` names some of them.

    What a mart is made of is built with it. Raises `MartsFailed`, one sentence for each failure.
    """
    for name in select:
        if name not in mart_names():
            raise MartsFailed(f"{name} is no mart; these are: {', '.join(mart_names())}.")
    started = time.perf_counter()
    url = Endpoints.read(settings.home).postgres
    days = _days(url, run_date)
    chosen = [word for name in select for word in ("--select", f"+{name}")]
    results = Dbt(url, settings.home).run(
        ["build", *TESTS, *chosen, "--vars", json.dumps(days.variables())],
        place="-".join(sorted(select)) or "all",
        say=say,
    )
    _require_success(results)
    return MartsBuilt(
        run_date=run_date,
        event_dates=days.event_dates,
        marts=tuple(_built(one) for one in results if one.name in mart_names()),
        tests=sum(one.kind == "test" for one in results),
        seconds=time.perf_counter() - started,
    )


def _days(url: str, run_date: date) -> _Days:
    try:
        with psycopg.connect(pipeline_conninfo(url)) as connection:
            connection.execute(REMEMBER, [run_date] * 3)
            event_dates = _column(connection.execute(EVENT_DATES, [run_date]))
            run_dates = _column(connection.execute(RUN_DATES, [list(event_dates)]))
            (as_of,) = _column(connection.execute(NEWEST, [run_date]))
    except psycopg.Error as error:
        raise MartsFailed(
            f"The days of run date {run_date} cannot be read from raw.events "
            f"({type(error).__name__}): run `userflow init`, and look at `userflow status`."
        ) from error
    return _Days(event_dates, run_dates, as_of)


def _column(found: psycopg.Cursor[Any]) -> tuple[date, ...]:
    return tuple(day for (day,) in found)


def _require_success(results: Sequence[NodeResult]) -> None:
    failed = [_sentence(one) for one in results if one.has_failed]
    if failed:
        more = f" {len(failed) - SHOWN} more failed." if len(failed) > SHOWN else ""
        raise MartsFailed(" ".join(failed[:SHOWN]) + more)


def _sentence(failed: NodeResult) -> str:
    """The second line of a database's error is the error; the details below it may name people."""
    if failed.kind == "test":
        return f"Test {failed.name} failed: {failed.message}."
    lines = failed.message.splitlines()
    return f"Model {failed.name} failed: {' '.join(lines[1:2] or lines).strip()}."


def _built(model: NodeResult) -> MartBuilt:
    return MartBuilt(name=model.name, rows=model.rows, seconds=model.seconds)
