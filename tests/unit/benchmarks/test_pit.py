"""The benchmark of training sets, small and without the peer: files, figures, what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from benchmarks import pit_report
from benchmarks.pit import FEAST, OURS, Pit, Side, differences, measure
from benchmarks.pit_data import FEATURES, VIEW, write_files
from features.columns import polars_schema

CONDITIONS = {"cores": 2}


def side(path: str, rate: float) -> Side:
    return Side(path, rate, 1_000 / rate, 0.5, 900 << 20, 0.01)


def figures(*sides: Side, found: int | None = None) -> Pit:
    return Pit(1_000, 10_000, 500, 5 << 20, sides, found)


def test_the_files_are_those_of_the_seed(tmp_path: Path) -> None:
    first = write_files(tmp_path / "a", labels=100, rows=2_000, rows_each=20)
    again = write_files(tmp_path / "b", labels=100, rows=2_000, rows_each=20)
    logs = [
        pl.read_delta(str(files.lake / "features" / VIEW.name)).sort("batch_id", "user_id")
        for files in (first, again)
    ]
    assert logs[0].equals(logs[1])
    assert pl.read_parquet(first.labels).equals(pl.read_parquet(again.labels))
    assert dict(logs[0].schema) == polars_schema(VIEW.log_columns)
    assert (logs[0].height, first.rows, first.readers) == (2_000, 2_000, 100)
    assert not logs[0].select("user_id", "available_at").is_duplicated().any()
    assert logs[0].select(FEATURES).null_count().sum_horizontal().item() == 0


def test_both_ways_are_measured_in_processes_of_their_own() -> None:
    told: list[str] = []
    found = measure(labels=200, rows=2_000, rows_each=20, runs=1, peer=False, say=told.append)
    assert [side.path for side in found.sides] == ["as served", "event time"]
    assert all(side.labels_per_second == 200 / side.seconds for side in found.sides)
    assert all(50 << 20 < side.peak_bytes < 1 << 30 for side in found.sides)
    assert found.ratio is None
    assert found.differences is None
    assert "as served, run 1 of 1 ..." in told


def test_values_are_compared_by_label_whatever_the_order() -> None:
    ours = pl.DataFrame({"label_id": [1, 2, 3], "a": [1, None, 3], "b": [0.5, 0.25, None]})
    theirs = ours.reverse().with_columns(pl.col("a").cast(pl.Int32))
    assert differences(ours, theirs, ["a", "b"]) == 0
    assert differences(ours, theirs.with_columns(a=pl.lit(1)), ["a", "b"]) == 2
    assert differences(ours, theirs.with_columns(b=None), ["a"]) == 0


def test_the_ratio_comes_first_and_the_conditions_last() -> None:
    found = figures(side(OURS, 500_000.0), side(FEAST, 62_500.0), found=0)
    lines = pit_report.text(found, CONDITIONS, as_json=False).splitlines()
    assert lines[0] == "8.0 x Feast on DuckDB; all values agree"
    assert "as served         500,000     0.00   0.50      900         1%" in lines
    assert lines[-3] == "1,000 labels, a log of 10,000 rows of 500 readers (5 MB)"
    assert lines[-1] == "cores 2"
    document = json.loads(pit_report.text(found, CONDITIONS, as_json=True))
    assert (document["ratio"], document["differences"]) == (8.0, 0)
    assert document["sides"][1]["labels_per_second"] == pytest.approx(62_500)
    alone = pit_report.text(figures(side(OURS, 1.0)), CONDITIONS, as_json=False)
    assert alone.startswith("path ")
