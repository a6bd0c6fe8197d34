"""The upkeep of the lake and of our own records: compact, clean up, let go of what is old.

Streams may append meanwhile: an append and a compaction do not disturb each other. Where another
writer was first (a backfill replaces parts of a log), the table is left for the next time and
named under `skipped`. Epochs are not looked after here: each stream lets go of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import psycopg
import structlog
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from features.contracts import CONTRACTS
from features.views import VIEWS
from infra.database import pipeline_conninfo, postgres_answers
from infra.endpoints import Endpoints
from infra.settings import Settings
from streaming.sinks.lake_tables import archive_of, log_of

__all__ = ["Kept", "Retained", "optimize", "retain", "vacuum"]

EVENTS = "events/"
DELTA_LOG = "_delta_log"
OPS = {
    "quality_log": "DELETE FROM ops.quality_log WHERE run_date < %s",
    "alerts": "DELETE FROM ops.alerts WHERE event_at < %s",
    "refused_rows": "DELETE FROM ops.refused_rows WHERE refused_at < %s",
    # Open ones can still be replayed, however old they are.
    "dead_letters": "DELETE FROM ops.dead_letters WHERE status <> 'open' AND updated_at < %s",
    "dead_letter_replays": """
        DELETE FROM ops.dead_letter_replays AS tried WHERE ended_at < %s AND NOT EXISTS (
            SELECT FROM ops.dead_letters AS letter WHERE (letter.topic, letter.partition,
                letter."offset") = (tried.topic, tried.partition, tried."offset"))""",
}
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Files that each table lost, by its path in the lake; tables that were left alone."""

    files: dict[str, int]
    skipped: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """Files of events and rows of `ops` tables that were deleted for their age."""

    events: Kept
    rows: dict[str, int]

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return asdict(self)


def optimize(settings: Settings) -> Kept:
    """Write the small files of every table together into large ones; no row changes."""
    return _each(settings, lambda table: int(table.optimize.compact()["numFilesRemoved"]))


def vacuum(settings: Settings) -> Kept:
    """Delete files that no version of the last `vacuum_hours` needs, and old parts of the log."""

    def clean(table: DeltaTable) -> int:
        gone = table.vacuum(settings.vacuum_hours, dry_run=False, full=True)
        table.cleanup_metadata()
        return len(gone)

    return _each(settings, clean)


def retain(settings: Settings, run_date: date) -> Retained:
    """Delete archived events and records of ours that are too old on `run_date`.

    What was deleted of the lake leaves the disk with a later `vacuum`. Logs of features are kept:
    what was served at a moment may have been written long before.
    """
    kept = Kept(files={}, skipped=())
    if settings.lake_retention_days is not None:
        first = run_date - timedelta(days=settings.lake_retention_days)
        kept = _each(settings, lambda table: _delete_before(table, first), below=EVENTS)
    rows = _trim(settings, run_date - timedelta(days=settings.ops_retention_days))
    return Retained(events=kept, rows=rows)


def _delete_before(table: DeltaTable, first: date) -> int:
    """Whole partitions, so nothing is written anew."""
    return int(table.delete(f"event_date < '{first.isoformat()}'")["num_removed_files"])


def _trim(settings: Settings, first: date) -> dict[str, int]:
    url = Endpoints.read(settings.home).postgres
    with postgres_answers(), psycopg.connect(pipeline_conninfo(url)) as connection:
        return {
            name: connection.execute(statement, [first]).rowcount for name, statement in OPS.items()
        }


def _each(settings: Settings, do: Callable[[DeltaTable], int], below: str = "") -> Kept:
    files, skipped = {}, []
    for path in _paths(settings.lake_root):
        place = f"{settings.lake_root.rstrip('/')}/{path}"
        if not path.startswith(below) or not DeltaTable.is_deltatable(place):
            continue
        try:
            files[path] = do(DeltaTable(place))
        except CommitFailedError as error:
            log.warning("table_skipped", table=path, problem=str(error).splitlines()[0])
            skipped.append(path)
    return Kept(files=files, skipped=tuple(skipped))


def _paths(lake: str) -> Iterator[str]:
    """Every table below a lake that is a folder; elsewhere those that are declared."""
    root = Path(lake)
    if "://" not in lake:
        for found in sorted(root.rglob(DELTA_LOG)):
            yield str(found.parent.relative_to(root))
        return
    yield from (archive_of(contract).path for contract in CONTRACTS.values())
    yield from (log_of(view).path for view in VIEWS.values())
