"""Gates from time to time: what began to fail is told once, and once more when it passes again.

A run that finds what an earlier one has told still fails, as a gate does, but tells nobody again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import psycopg

from infra.database import pipeline_conninfo, postgres_answers
from infra.endpoints import Endpoints
from infra.errors import GateFailed, ServiceError
from infra.open_troubles import OpenTroubles
from infra.quality import run_suite
from infra.settings import Settings
from infra.slack import Message, post

__all__ = ["MONITORED", "Monitored", "monitor"]

# Suite -> the tables of it that are looked at; (): all.
MONITORED: Mapping[str, tuple[str, ...]] = {"raw": (), "features": ("session_features",)}
FILE = "monitor.json"
AWAY = "PostgreSQL"
MOST_NAMED = 5
NEWEST = "SELECT max(run_date) FROM raw.events"


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitored:
    """A gate that passed. `run_date`: the day that was looked at; None if nothing was loaded yet.
    `ended`: what had failed at the last look.
    """

    suite: str
    run_date: date | None
    ended: tuple[str, ...] = ()


def monitor(
    settings: Settings, *, suite: str, tables: Sequence[str] = (), run_date: date | None = None
) -> Monitored:
    """Run a gate over the newest day, or over `run_date`, and tell what has changed.

    Raises what the gate raises, with `is_told`: `GateFailed` while anything fails that stops,
    `ServiceError` while PostgreSQL is away, and then nothing that was open ends.
    """
    look = _Look(settings, suite, OpenTroubles(settings.home / "quality" / suite / FILE))
    try:
        day = run_date or _newest(settings, suite)
        if day is None:
            return Monitored(suite=suite, run_date=None)
        quiet = settings.model_copy(update={"slack_webhook": None})
        run_suite(settings=quiet, suite=suite, run_date=day, tables=tables)
    except GateFailed as failure:
        look.tell(day, _failing(failure.figures))
        failure.is_told = True
        raise
    except ServiceError as failure:
        look.tell(None, {AWAY: str(failure)}, may_end=False)
        failure.is_told = True
        raise
    ended = look.tell(day, {})
    return Monitored(suite=suite, run_date=day, ended=ended)


def _newest(settings: Settings, suite: str) -> date | None:
    """The last day that was loaded; online tables are as they are, which is today."""
    if suite != "raw":
        return datetime.now(UTC).date()
    url = Endpoints.read(settings.home).postgres
    with postgres_answers(), psycopg.connect(pipeline_conninfo(url)) as connection:
        row = connection.execute(NEWEST).fetchone()
    return row[0] if row else None


def _failing(figures: Mapping[str, Any]) -> dict[str, str]:
    """Name of an expectation -> what it found."""
    return {
        _name(one): f"{_name(one)} ({one['failed']:,} of {one['checked']:,})"
        for one in figures["expectations"]
        if not one["passed"] and one["severity"] == "stop"
    }


def _name(one: Mapping[str, Any]) -> str:
    column = f"{one['column']}." if one["column"] else ""
    return f"{one['table']}:{column}{one['check']}"


@dataclass(frozen=True, slots=True)
class _Look:
    settings: Settings
    suite: str
    known: OpenTroubles

    def tell(
        self, day: date | None, failing: Mapping[str, str], *, may_end: bool = True
    ) -> tuple[str, ...]:
        """What began and what ended since the last look, one message each; returns what ended."""
        before = self.known.read()
        began = {name: found for name, found in failing.items() if name not in before}
        ended = [name for name in before if name not in failing] if may_end else []
        told = began if self._post(_begun(self.suite, day, began), began) else {}
        over = ended if self._post(_over(self.suite, ended), ended) else []
        self.known.change(told=told, over=over)
        return tuple(ended)

    def _post(self, message: Message, about: Sized) -> bool:
        """Whether it was told, if it is about anything; without a webhook the log has it, and that
        is enough.
        """
        webhook = self.settings.slack_webhook
        return bool(about) and (post(webhook, message) or webhook is None)


def _begun(suite: str, day: date | None, began: Mapping[str, str]) -> Message:
    of_day = f"Of {day}: " if day else ""
    return Message(
        title=f"Gate {suite} fails",
        what=f"{of_day}{_some(list(began.values()))}",
        look=f"`userflow quality run --suite {suite}` shows all of it, and ops.quality_log since "
        "when. This is told once, and once more when it is over.",
    )


def _over(suite: str, ended: Sequence[str]) -> Message:
    return Message(title=f"Over: gate {suite} fails", what=f"Fine again: {_some(ended)}.", look="")


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
