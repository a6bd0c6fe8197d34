"""What a campaign kills and when, what its verdict sees, and where its table goes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.chaos.campaign import Campaign, Killed
from benchmarks.chaos.expected import Expected
from benchmarks.chaos.found import OUTPUTS, Found
from benchmarks.chaos.kafka_log import Record
from benchmarks.chaos.kills import TARGETS, plan
from benchmarks.chaos.report import BEGIN, END, put_between_marks, summary
from benchmarks.chaos.verdict import Count, judge
from features.columns import polars_schema
from features.views import VIEWS
from infra.errors import SettingsError
from streaming.jobs import JOBS

AT = datetime(2026, 1, 1, tzinfo=UTC)
VIEW = VIEWS["session_features"]
JOB = JOBS["webtoon"].only([VIEW.name])
PLACE = ("webtoon_user_events", 0, 7)
BAD = ("not_json", b"{")


def rows(*sessions: str, events: int = 3, epoch: int = 1) -> pl.DataFrame:
    schema = polars_schema(VIEW.online_columns)
    stamps = {"event_at": AT, "updated_at": AT, "generation": 1, "epoch": epoch}
    made = [
        {"session_id": name, "episode_id": "e", "event_count": events, **stamps}
        for name in sessions
    ]
    return pl.DataFrame(made, schema)


def log(*sessions: str, **more: int) -> pl.DataFrame:
    return rows(*sessions, **more).with_columns(is_deleted=pl.lit(value=False))


def letter(offset: int, value: bytes, reason: str = "not_json") -> Record:
    headers = {
        "message_id": f"webtoon_user_events/0/{offset}",
        "source_topic": "webtoon_user_events",
        "source_partition": "0",
        "source_offset": str(offset),
        "reason_code": reason,
    }
    return Record(
        topic="dead-letters",
        partition=0,
        offset=offset,
        at_ms=0,
        key=None,
        value=value,
        headers={name: text.encode() for name, text in headers.items()},
    )


EXPECTED = Expected(
    rows={VIEW.name: {(name, "e"): {"event_count": 3} for name in ("a", "b")}},
    accepted=frozenset({"1", "2"}),
    dead={PLACE: BAD},
    alerts=set(),
    detections=[],
)
RIGHT = Found(
    rows={VIEW.name: rows("a", "b")},
    served={VIEW.name: rows("a", "b")},
    lists={},
    logs={VIEW.name: log("a", "b")},
    archive=pl.DataFrame({"event_id": ["1", "2"], "epoch": [1, 1], "ingested_at": [AT, AT]}),
    commits=pl.DataFrame({"epoch": [0, 1], "committed_at": [AT, AT]}),
    dead={PLACE: [BAD]},
    alerts=[],
    topics={name: [] for name in OUTPUTS} | {"dead-letters": [letter(7, b"{")]},
)


def wrong(**change: Any) -> dict[str, tuple[int, int, int]]:
    """By place what is lost, duplicated, different, where something is."""
    counts = judge(JOB, EXPECTED, replace(RIGHT, **change))
    return {
        one.place: (one.lost, one.duplicated, one.different) for one in counts if not one.is_right
    }


def test_stores_that_hold_what_they_should_are_right() -> None:
    assert wrong() == {}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"served": {VIEW.name: rows("a")}}, {"Redis session_features": (1, 0, 0)}),
        ({"served": {VIEW.name: rows("a", "b", "c")}}, {"Redis session_features": (0, 1, 0)}),
        ({"served": {VIEW.name: rows("a", "b", epoch=0)}}, {"Redis session_features": (0, 0, 2)}),
        ({"logs": {VIEW.name: log("a")}}, {"Delta session_features": (1, 0, 0)}),
        (
            {"logs": {VIEW.name: log("a", "b", "b")}},
            {"Delta session_features: changes": (0, 1, 0)},
        ),
        ({"dead": {}}, {"PostgreSQL dead letters": (1, 0, 0)}),
        ({"dead": {PLACE: [("late", b"{")]}}, {"PostgreSQL dead letters": (0, 0, 1)}),
    ],
)
def test_what_is_lost_twice_there_or_different_is_counted(
    change: dict[str, Any], found: dict[str, tuple[int, int, int]]
) -> None:
    assert wrong(**change) == found


def test_a_value_that_the_oracle_does_not_know_is_different() -> None:
    both = rows("a", "b", events=4)
    stores = {"rows": {VIEW.name: both}, "served": {VIEW.name: both}}
    found = wrong(**stores, logs={VIEW.name: log("a", "b", events=4)})
    assert found == {"PostgreSQL session_features": (0, 0, 2)}


def test_an_event_that_is_archived_twice_is_counted() -> None:
    archive = pl.concat([RIGHT.archive, RIGHT.archive.head(1)])
    assert wrong(archive=archive) == {"Delta events of webtoon": (0, 1, 0)}


def test_what_an_attempt_wrote_with_another_time_than_the_commits_is_different() -> None:
    commits = RIGHT.commits.with_columns(committed_at=pl.lit(AT.replace(year=2025)))
    assert {place: counts[2] for place, counts in wrong(commits=commits).items()} == {
        "PostgreSQL session_features: times": 2,
        "Delta session_features: times": 2,
        "Delta events of webtoon": 2,
    }


def test_a_message_that_is_repeated_under_its_name_is_dropped_by_its_reader() -> None:
    letters = [letter(7, b"{"), letter(7, b"{")]
    topics = {**RIGHT.topics, "dead-letters": letters}
    counts = {one.place: one for one in judge(JOB, EXPECTED, replace(RIGHT, topics=topics))}
    assert counts["topic dead-letters"].is_right
    assert counts["topic dead-letters"].repeats == 1
    assert wrong(topics={**topics, "dead-letters": [*letters, letter(8, b"{")]}) == {
        "topic dead-letters": (0, 1, 0)
    }


def test_the_same_seed_plans_the_same_kills() -> None:
    assert plan(12, seed=3) == plan(12, seed=3) != plan(12, seed=4)
    assert plan(5, seed=3) == plan(12, seed=3)[:5]


def test_five_kills_are_one_of_each() -> None:
    assert Counter(kill.target for kill in plan(5, seed=9)) == Counter(TARGETS)


def campaign(recovery_s: float, *counts: Count) -> Campaign:
    killed = Killed(number=1, what="redis", at_s=2.0, recovery_s=recovery_s, restarts=0)
    return Campaign(seed=1, events=9, seconds=3.0, kills=[killed], counts=counts, orphans=0)


def test_a_slow_recovery_is_named_and_is_not_right() -> None:
    assert campaign(29.9).is_right
    assert not campaign(30.1).is_right
    assert "Not within 30 s: kills 1 (redis, 30.1 s)." in summary(campaign(30.1))
    assert not campaign(1.0, Count(place="x", expected=1, lost=1)).is_right


def test_the_table_replaces_the_one_before(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        put_between_marks(page, "new")
    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    page.write_text("no marks", encoding="utf-8")
    with pytest.raises(SettingsError, match="no place for a campaign"):
        put_between_marks(page, "new")
