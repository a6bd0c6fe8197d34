"""The command's days, and what it refuses before Spark starts."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from deltalake import write_deltalake

from infra.backfill import Days, require_events
from infra.cli import main
from infra.endpoints import Endpoints
from infra.errors import BackfillFailed

MINUTE = 60 * 1_000_000
DAYS = Days(first=date(2026, 9, 21), last=date(2026, 9, 22))


def refused(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["backfill", *arguments])
    return done.exit_code, done.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("2026-09-22", "2026-09-21"), "The first day is after the last."),
        (("2026-09-21", "21.9.2026"), "does not match the format '%Y-%m-%d'."),
        (("2026-09-21", "2026-09-22", "--view", "product"), "product_features"),
        (("2026-09-21", "2026-09-22", "--slice-minutes", "7"), "7 minutes do not divide the day."),
    ],
)
def test_wrong_use_is_exit_code_2(arguments: tuple[str, ...], sentence: str) -> None:
    first, last, *others = arguments
    code, text = refused("--from", first, "--to", last, *others)
    assert code == 2
    assert sentence in text


def test_without_an_archive_there_is_nothing_to_recompute_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERFLOW_HOME", str(tmp_path))
    lake = str(tmp_path / "lake")
    Endpoints(kafka="", postgres="", redis="", lake=lake).write(tmp_path)
    code, text = refused("--from", "2026-09-21", "--to", "2026-09-22")
    assert code == 1
    assert text.startswith(f"Error: {lake} has no archived event up to 2026-09-22: ")


def test_only_days_after_the_last_are_no_archive(tmp_path: Path) -> None:
    def archive(day: date) -> None:
        table = f"{tmp_path}/events/user_events"
        events = pl.DataFrame({"event_date": [day], "event_id": ["e"]})
        write_deltalake(table, events, partition_by=["event_date"], mode="append")

    archive(date(2026, 9, 23))
    with pytest.raises(BackfillFailed):
        require_events(["product_features"], DAYS, str(tmp_path))
    archive(date(2026, 1, 1))
    require_events(["product_features"], DAYS, str(tmp_path))
    with pytest.raises(BackfillFailed):
        require_events(["session_features"], DAYS, str(tmp_path))


def test_the_slices_are_those_of_whole_days() -> None:
    span = DAYS.span(watermark_us=DAYS.end_us - 5 * MINUTE)
    assert span.first * span.slice_us == DAYS.begin_us
    assert span.last - span.first + 1 == 48
    assert (span.last + 1) * span.slice_us == DAYS.end_us
    assert span.watermark_at(span.last) == DAYS.end_us - 60 * MINUTE
    assert span.watermark_at(span.last + 1) == DAYS.end_us - 5 * MINUTE
    fine = Days(first=DAYS.first, last=DAYS.first, slice_minutes=1).span(0)
    assert fine.last - fine.first + 1 == 1440
