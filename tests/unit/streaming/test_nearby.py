"""Copies of the state beside Spark's: what can be found there, and what takes nothing but time."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pyspark.sql.streaming.stateful_processor import StatefulProcessorHandle

from streaming.state import nearby
from streaming.state.memory import MemoryMap, MemoryState
from streaming.state.nearby import Nearby
from streaming.state.store import CELLS, State


class Spark(StatefulProcessorHandle):
    """A worker's handle that counts what it is asked for."""

    def __init__(self) -> None:
        self.map = Counting()

    def getMapState(self, *_: object) -> MemoryMap:  # type: ignore[override] # noqa: N802
        return self.map


class Counting(MemoryMap):
    asked = 0

    def getValue(self, key: tuple[object, ...]) -> tuple[object, ...] | None:  # noqa: N802
        self.asked += key != (CELLS,)
        return super().getValue(key)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{tmp_path},/nowhere")
    return tmp_path / "userflow-state"


def test_what_one_worker_stored_another_finds_without_asking_spark(folder: Path) -> None:
    spark = Spark()
    one, other = State(spark), State(spark)
    with one.opened():
        one.cell("cell", list[int]).put([1])
        one.put(7, b"blob")
    with other.opened():
        assert (other.get(7), other.cell("cell", list[int]).get()) == (b"blob", [1])
        other.drop(7)
    assert spark.map.asked == 0
    # Cells change, so they are never read from a copy.
    assert list(folder.iterdir()) == []
    with one.opened():
        assert one.get(7) is None
    assert spark.map.asked == 1


def test_what_is_not_there_spark_has(folder: Path) -> None:
    spark = Spark()
    one = State(spark)
    with one.opened():
        one.put(7, b"blob")
    (folder / "7").unlink()
    with one.opened():
        assert one.get(7) == b"blob"


def test_a_backfill_keeps_no_copies(folder: Path) -> None:
    state = State(MemoryState())  # type: ignore[arg-type]
    with state.opened():
        state.put(7, b"blob")
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    broken = Nearby(tmp_path / "file" / "below")
    broken.write(7, b"blob")
    assert broken.read(7) is None
    broken.drop(7)


def test_copies_that_nobody_asked_for_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearby, "SWEEP_EVERY_S", -1.0)
    copies = Nearby(tmp_path)
    copies.write(7, b"old")
    past = (tmp_path / "7").stat().st_mtime - nearby.KEPT_S - 1
    os.utime(tmp_path / "7", (past, past))
    copies.write(8, b"new")
    assert (copies.read(7), copies.read(8)) == (None, b"new")


def test_copies_go_although_each_task_makes_a_state_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spark = Spark()
    with State(spark).opened():
        pass
    a_minute_later = time.monotonic() + 60
    monkeypatch.setattr(nearby, "KEPT_S", -1.0)
    monkeypatch.setattr(time, "monotonic", lambda: a_minute_later)
    later = State(spark)
    with later.opened():
        later.put(7, b"blob")
    assert list(folder.iterdir()) == []
