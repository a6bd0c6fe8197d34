"""The upkeep of a lake: the rows stay, files become few, and what is too old goes when asked."""

from __future__ import annotations

import os
import shutil
import time
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from infra import maintenance
from infra.maintenance import Kept, optimize, retain, vacuum
from infra.settings import Settings

EVENTS, LOG, BATCH = "events/user_events", "features/user_features", "batch/product_metrics"
DAYS = (date(2026, 6, 1), date(2026, 6, 2))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lake of three tables, each written in four commits."""
    for part in range(4):
        rows = pl.DataFrame({"id": [part, part], "event_date": DAYS})
        for path in (EVENTS, LOG, BATCH):
            place = tmp_path / "lake" / path
            by = ["event_date"] if path == EVENTS else None
            write_deltalake(place, rows.to_arrow(), mode="append", partition_by=by)
    return Settings(home=tmp_path, lake="")


def table(settings: Settings, path: str) -> DeltaTable:
    return DeltaTable(f"{settings.lake_root}/{path}")


def rows(settings: Settings, path: str) -> list[tuple[object, ...]]:
    frame = pl.from_arrow(table(settings, path).to_pyarrow_table())
    assert isinstance(frame, pl.DataFrame)
    return sorted(frame.select("event_date", "id").rows())


def test_every_table_has_fewer_files_and_the_same_rows(settings: Settings) -> None:
    before = {path: rows(settings, path) for path in (EVENTS, LOG, BATCH)}
    assert optimize(settings) == Kept(files={BATCH: 4, EVENTS: 8, LOG: 4}, skipped=())
    assert len(table(settings, EVENTS).file_uris()) == 2
    assert {path: rows(settings, path) for path in before} == before
    assert optimize(settings).files == {BATCH: 0, EVENTS: 0, LOG: 0}


def test_files_that_a_reader_may_still_need_stay(settings: Settings) -> None:
    optimize(settings)
    assert vacuum(settings).files == {BATCH: 0, EVENTS: 0, LOG: 0}
    assert len(list((settings.home / "lake" / LOG).glob("*.parquet"))) == 5


def test_what_a_writer_that_died_left_goes_once_it_is_old(settings: Settings) -> None:
    folder = settings.home / "lake" / LOG
    some = next(folder.glob("*.parquet"))
    old, new = folder / "part-old.parquet", folder / "part-new.parquet"
    for orphan in (old, new):
        shutil.copy(some, orphan)
    long_ago = time.time() - 3600 * (settings.vacuum_hours + 1)
    os.utime(old, (long_ago, long_ago))
    assert vacuum(settings).files == {BATCH: 0, EVENTS: 0, LOG: 1}
    assert not old.exists()
    assert new.exists()


def test_archived_events_are_kept_for_ever_unless_a_setting_says_otherwise(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_trim", lambda *_: {})
    assert retain(settings, date(2030, 1, 1)).events.files == {}
    short = settings.model_copy(update={"lake_retention_days": 30})
    assert retain(short, date(2026, 7, 1)).events.files == {EVENTS: 0}
    assert retain(short, date(2026, 7, 2)).events.files == {EVENTS: 4}
    assert {day for day, _ in rows(settings, EVENTS)} == {date(2026, 6, 2)}
    assert {day for day, _ in rows(settings, LOG)} == set(DAYS)


def test_a_table_that_others_change_is_left_for_the_next_time(settings: Settings) -> None:
    def changed_by_others(delta: DeltaTable) -> int:
        if delta.table_uri.rstrip("/").endswith(LOG):
            raise CommitFailedError("somebody was first")
        return 1

    kept = maintenance._each(settings, changed_by_others)
    assert kept == Kept(files={BATCH: 1, EVENTS: 1}, skipped=(LOG,))


def test_a_lake_that_is_not_there_needs_nothing(tmp_path: Path) -> None:
    assert optimize(Settings(home=tmp_path, lake="")).files == {}
