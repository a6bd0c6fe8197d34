"""Delta keeps everything: events as declared, and features as they are declared later."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import median

import pytest
from deltalake import DeltaTable
from sinks_suite.stores import (
    START,
    VIEW,
    VIEWS,
    archived,
    epoch,
    output,
)

from features.columns import stored_columns
from features.contracts import contract_named
from streaming.sinks import delta
from streaming.sinks.delta import DeltaSink
from streaming.sinks.lake_tables import LakeTable


def test_events_are_archived_as_declared(tmp_path: Path) -> None:
    sink = DeltaSink(str(tmp_path))
    sink.ensure(topics=["user-events"])
    table = DeltaTable(tmp_path / "events" / "user_events")
    declared = stored_columns(contract_named("user-events"))
    assert [field.name for field in table.schema().fields] == [c.name for c in declared]
    assert [field.nullable for field in table.schema().fields] == [c.nullable for c in declared]
    assert table.metadata().partition_columns == ["event_date"]
    for _ in range(2):
        sink.write(epoch(0), replace(output(), events={"user-events": archived()}, rows={}))
    table.update_incremental()
    found = table.to_pyarrow_table().to_pylist()
    assert [row["extra"] for row in found] == [[('k"', "v"), ("n", None)], None]
    assert found[0]["event_date"] == START.date() - timedelta(days=1)
    assert (found[0]["ingested_at"], found[0]["epoch"]) == (START, 0)
    assert (found[0]["kafka_partition"], found[0]["kafka_offset"]) == (3, 2**40)


def test_a_null_where_none_may_be_is_refused(tmp_path: Path) -> None:
    sink = DeltaSink(str(tmp_path), views=VIEWS)
    with pytest.raises(Exception, match=r"(?i)null"):
        sink.write(epoch(0), output({"reader_id": None}))


def test_another_process_finds_what_the_first_has_written(tmp_path: Path) -> None:
    """Both opened the table before; the second must see the commit that came in between."""
    one, two = (DeltaSink(str(tmp_path), views=VIEWS) for _ in range(2))
    one.ensure(views=VIEWS)
    two.ensure(views=VIEWS)
    one.write(epoch(0), output({}))
    two.write(epoch(0), output({}))
    assert DeltaTable(tmp_path / "features" / VIEW.name).to_pyarrow_table().num_rows == 1


def test_a_feature_that_was_declared_later_is_added(tmp_path: Path) -> None:
    young = replace(VIEW, stored=VIEW.stored[1:])
    DeltaSink(str(tmp_path), views={VIEW.name: young}).write(epoch(0), output({}))
    DeltaSink(str(tmp_path), views=VIEWS).write(epoch(1), output({"note": "new"}))
    table = DeltaTable(tmp_path / "features" / VIEW.name).to_pyarrow_table()
    found = sorted(table.to_pylist(), key=lambda row: row["batch_id"])
    assert [(row["note"], row["ratio"]) for row in found] == [(None, 0.5), ("new", 0.5)]


def test_a_checkpoint_stands_every_twenty_commits(tmp_path: Path) -> None:
    sink = DeltaSink(str(tmp_path), views=VIEWS)
    for number in range(19):
        sink.write(epoch(number), output({}))
    log = tmp_path / "features" / VIEW.name / "_delta_log"
    assert [path.name for path in log.glob("*.checkpoint.parquet")] == [
        "00000000000000000019.checkpoint.parquet"
    ]


def test_an_older_table_gets_the_settings_of_today_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta, "CONFIGURATION", {"delta.checkpointInterval": "7"})
    DeltaSink(str(tmp_path), views=VIEWS).ensure(views=VIEWS)
    monkeypatch.undo()
    for _ in range(2):
        DeltaSink(str(tmp_path), views=VIEWS).ensure(views=VIEWS)
    table = DeltaTable(tmp_path / "features" / VIEW.name)
    assert table.metadata().configuration == delta.CONFIGURATION
    assert table.version() == 1


def test_an_append_costs_about_as_much_after_hundreds_of_them(tmp_path: Path) -> None:
    sink = DeltaSink(str(tmp_path), views=VIEWS)
    seconds = []
    for number in range(300):
        began = time.perf_counter()
        sink.write(epoch(number), output({}))
        seconds.append(time.perf_counter() - began)
    # Of a table that stays open the last took five times as long.
    assert median(seconds[-20:]) < 3 * median(seconds[:20])


def test_a_failure_is_told_once_no_append_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the repeated epoch would meet it."""
    ended = []

    def append(_: DeltaSink, table: LakeTable, *__: object) -> None:
        if table.path.startswith("events/"):
            raise OSError("The disk is full.")
        time.sleep(0.2)
        ended.append(table.path)

    monkeypatch.setattr(DeltaSink, "_append", append)
    sink = DeltaSink(str(tmp_path), views=VIEWS)
    with pytest.raises(OSError, match="full"):
        sink.write(epoch(0), replace(output({}), events={"user-events": archived()}))
    assert ended == [f"features/{VIEW.name}"]
