"""Load a day of events into `raw.events`: read, check by the seven, and write, as one step.

A day is what was loaded under its date, by files or from the archive, and may hold events of other
days. Loading it again replaces it in one transaction. What fails a check is left out and listed; if
that is more than the setting `pass_rate` allows, nothing is written but `ops.quality_log`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import psycopg

from expectations.checks import Outcome, Verdict, judge
from features.contracts import CONTRACTS
from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from infra.errors import GateFailed, LoadFailed
from infra.raw.archive import Archive
from infra.raw.encoding import copy_text
from infra.raw.files import Files
from infra.raw.quality import is_passed, log_verdict, write_left_out
from infra.raw.source import Progress, Source, days_of
from infra.raw.table import carts_of, has_partition, locked, make_day, replace_day
from infra.settings import Settings

__all__ = ["RawDay", "check_raw", "load_archived", "load_raw"]

# Encoded at once: many, as each has its price, but not so many that the server waits for the first.
ROWS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RawDay:
    """What became of a day. `events`: how many were read, of which `failed` fail a check and stand
    in `left_out_file`; `problem`: why it may not be loaded, if so; `topics`: how many rows of each
    were loaded, {} if none were; `seconds`: by step.
    """

    run_id: str
    run_date: date
    events: int
    failed: int
    problem: str | None
    checks: tuple[Outcome, ...]
    left_out_file: Path
    seconds: Mapping[str, float]
    topics: Mapping[str, int] = field(default_factory=dict)

    @property
    def loaded(self) -> int:
        """How many events are in the table."""
        return sum(self.topics.values())

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return {
            "run_id": self.run_id,
            "run_date": self.run_date.isoformat(),
            "events": self.events,
            "failed": self.failed,
            "loaded": self.loaded,
            "is_passed": self.problem is None,
            "problem": self.problem,
            "topics": dict(self.topics),
            "checks": [{**asdict(one), "rate": one.rate} for one in self.checks],
            "left_out_file": str(self.left_out_file),
            "seconds": {name: round(took, 2) for name, took in self.seconds.items()},
        }


def _silent(*_: object) -> None:
    """Report no progress."""


def load_raw(
    settings: Settings, run_date: date, files: Sequence[Path] = (), progress: Progress = _silent
) -> RawDay:
    """Load a day from files of JSON lines, by default those below `landing` in the home.

    Raises `GateFailed` when too few events fail none of the checks and `LoadFailed` when there is
    nothing to load, it cannot be read, or the day is being loaded already. Then the table is as it
    was before.
    """
    with _run(settings, run_date, progress) as run:
        return run.load(Files(settings.home, tuple(files)))


def load_archived(settings: Settings, run_date: date, progress: Progress = _silent) -> RawDay:
    """Load a day from what the streams have archived of it; raises as `load_raw` does."""
    lake = Endpoints.read(settings.home).lake
    with _run(settings, run_date, progress) as run:
        return run.load(Archive(lake))


def check_raw(settings: Settings, run_date: date, files: Sequence[Path] = ()) -> RawDay:
    """Check a day as `load_raw` would, and write down what was found, but load nothing.

    Raises `LoadFailed`; too many failures are a `problem` of the result.
    """
    with _run(settings, run_date, _silent) as run:
        day, _ = run.check(Files(settings.home, tuple(files)))
        return day


@contextmanager
def _run(settings: Settings, run_date: date, progress: Progress) -> Iterator[_Run]:
    """With the day's lock; what PostgreSQL raises becomes `LoadFailed`."""
    postgres = Endpoints.read(settings.home).postgres
    try:
        with (
            psycopg.connect(pipeline_conninfo(postgres), autocommit=True) as connection,
            locked(connection, run_date),
        ):
            yield _Run(settings, run_date, postgres, connection, progress)
    except psycopg.Error as error:
        reason = error.diag.message_primary or str(error).strip().partition("\n")[0]
        raise LoadFailed(
            f"PostgreSQL did not take {run_date} ({reason}): the day is as it was before. Look at "
            "`userflow status`, and run `userflow init` if it never ran."
        ) from error


@dataclass(frozen=True, slots=True)
class _Run:
    settings: Settings
    run_date: date
    postgres: str
    connection: psycopg.Connection[Any]
    progress: Progress
    run_id: str = field(default_factory=lambda: uuid4().hex)
    run_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: dict[str, float] = field(default_factory=dict)

    def load(self, source: Source) -> RawDay:
        """Check, and write if enough events pass; else raise `GateFailed`."""
        day, good = self.check(source)
        if day.problem is not None:
            raise GateFailed(day.problem, day.to_json())
        with self._timed("writing"):
            self._write(good)
        return replace(day, topics={topic: events.height for topic, events in good.items()})

    def check(self, source: Source) -> tuple[RawDay, Mapping[str, pl.DataFrame]]:
        """What was found, which stays known whatever becomes of the day, and the good events."""
        with self._timed("reading"):
            read = source.read(self.run_date, self.progress)
            carts = self._carts(source, self.run_date - timedelta(days=1))
        with self._timed("checking"):
            verdict = judge(days_of(read, self.run_date, carts))
        self._require_events(verdict)
        listed = write_left_out(self.settings.home, self.run_date, verdict)
        self._log(verdict)
        day = RawDay(
            run_id=self.run_id,
            run_date=self.run_date,
            events=verdict.total.checked,
            failed=verdict.total.failed,
            problem=self._problem(verdict, listed),
            checks=verdict.outcomes,
            left_out_file=listed,
            seconds=self.seconds,
        )
        return day, dict(zip(read, verdict.good, strict=True))

    def _carts(self, source: Source, day: date) -> pl.DataFrame:
        """Of a day that is loaded by what is in the table, else by where it will come from."""
        loaded = carts_of(self.connection, day)
        return source.carts(day) if loaded is None else loaded

    def _require_events(self, verdict: Verdict) -> None:
        if not verdict.total.checked:
            raise LoadFailed(
                f"The files of {self.run_date} hold no event: an empty day is not loaded, since "
                "more likely nothing was collected. What was loaded before stays."
            )

    def _log(self, verdict: Verdict) -> None:
        log_verdict(
            self.connection,
            verdict,
            run_id=self.run_id,
            run_at=self.run_at,
            run_date=self.run_date,
            least=self.settings.pass_rate,
        )

    def _problem(self, verdict: Verdict, listed: Path) -> str | None:
        least, total = self.settings.pass_rate, verdict.total
        if is_passed(total, least):
            return None
        worst = max(verdict.outcomes, key=lambda one: one.failed)
        return (
            f"{self.run_date} is not loaded: {total.failed:,} of {total.checked:,} events fail a "
            f"check, so {total.rate:.2%} pass where {least:.2%} must; most of them, "
            f"{worst.failed:,}, fail {worst.check}. {listed} lists them."
        )

    def _write(self, good: Mapping[str, pl.DataFrame]) -> None:
        if has_partition(self.connection, self.run_date):
            replace_day(self.connection, self.run_date, self._texts(good))
            return
        # Only the owner may make tables.
        with psycopg.connect(self.postgres, autocommit=True) as owner:
            make_day(owner, self.run_date, self._texts(good))

    def _texts(self, good: Mapping[str, pl.DataFrame]) -> Iterator[bytes]:
        total, done = sum(events.height for events in good.values()), 0
        for topic, events in good.items():
            for part in events.iter_slices(ROWS):
                yield copy_text(
                    CONTRACTS[topic],
                    part,
                    run_date=self.run_date,
                    run_id=self.run_id,
                    loaded_at=self.run_at,
                )
                done += part.height
                self.progress("writing", done, total)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[step] = time.perf_counter() - began
