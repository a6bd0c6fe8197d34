"""The demo's report: differences are told with found, expected and where, and decide the exit."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import polars as pl
import pytest
from rich.console import Console

from features.columns import polars_schema
from features.views import view_named
from infra.demo import report
from infra.demo.latency import latencies
from infra.demo.load import Run, records, sent_events, webtoon
from infra.demo.proof import Difference, Proof, TopicCount, compare_rows
from infra.demo.stores import parsed
from infra.endpoints import Endpoints

SESSION_FEATURES = view_named("session_features")

AT = datetime(2026, 1, 1, tzinfo=UTC)
RUN = Run(seconds=2, start_us=1_767_225_600_000_000, begins={}, ends={})
ENDPOINTS = Endpoints(
    kafka="127.0.0.1:1",
    postgres="postgresql://userflow:s3cret@127.0.0.1:2/userflow",
    redis="redis://:s3cret@127.0.0.1:3/0",
    lake="lake",
)
LOST = Difference(what="sessions missing in Redis", found="1: s|e", expected="none", look="Redis")


def rows(**values: object) -> pl.DataFrame:
    schema = polars_schema(SESSION_FEATURES.online_columns)
    row = {**dict.fromkeys(schema), "session_id": "s", "episode_id": "e", "event_at": AT, **values}
    return pl.DataFrame([row], schema=schema)


def outcome(*differences: Difference) -> report.Outcome:
    none = rows().clear()
    proof = Proof(
        topics=[
            TopicCount(
                topic="weather", sent=3, accepted=1, duplicates=1, dead_letters={"not_json": 1}
            )
        ],
        archive=pl.DataFrame(
            schema={"topic": pl.String, "epoch": pl.Int64, "ingested_at": pl.Datetime("us", "UTC")}
        ).with_columns(received_at="ingested_at"),
        rows={"PostgreSQL": none, "Redis": none, "Delta": none},
        log_rows=0,
        differences=list(differences),
    )
    return report.Outcome(run=RUN, endpoints=ENDPOINTS, proof=proof, log=[])


def shown(given: report.Outcome, **options: object) -> str:
    out = io.StringIO()
    report.show(given, Console(file=out, width=100, **options))  # type: ignore[arg-type]
    return out.getvalue()


def test_a_difference_is_told_with_found_expected_and_where_to_look() -> None:
    text = shown(outcome(LOST))
    assert "No: 1 differences." in text
    for part in ("sessions missing in Redis", "1: s|e", "none", "Redis"):
        assert part in text


def test_the_document_holds_every_section_and_the_verdict() -> None:
    found = json.loads(report.document(outcome(LOST)))
    assert found["agrees"] is False
    assert found["differences"] == [LOST.to_json()]
    assert found["events"]["weather"]["dead_letters"] == {"not_json": 1}
    assert Run(**found["run"]) == RUN
    assert json.loads(report.document(outcome()))["agrees"] is True


@pytest.mark.parametrize("given", [outcome(), outcome(LOST)])
def test_no_password_is_shown(given: report.Outcome) -> None:
    assert "s3cret" not in shown(given) + report.document(given)


def test_only_colours_that_are_readable_on_dark_and_light_terminals_are_used() -> None:
    text = shown(outcome(LOST), force_terminal=True, color_system="standard")
    codes = {code for part in text.split("\x1b[")[1:] for code in part.partition("m")[0].split(";")}
    assert codes <= {"0", "1", "31", "32"}  # off, bold, red, green


def test_rows_that_differ_name_the_column_and_both_values() -> None:
    (found,) = compare_rows(SESSION_FEATURES, rows(event_count=2), rows(event_count=3), "Redis")
    assert (found.what, found.found) == ("event_count of 1 rows in Redis", "3")
    assert found.expected.startswith("2")
    assert found.look == "session_features s|e"


def test_null_and_a_value_differ_and_two_nulls_do_not() -> None:
    assert compare_rows(SESSION_FEATURES, rows(genre=None), rows(genre=None), "Delta") == []
    assert compare_rows(SESSION_FEATURES, rows(genre=None), rows(genre=""), "Delta")


def test_redis_text_is_parsed_by_declared_type_and_nonsense_is_null() -> None:
    columns = {column.name: column for column in SESSION_FEATURES.online_columns}
    cases = [
        ("event_count", "12", 12),
        ("event_count", "many", None),
        ("completion_rate", "0.00000015", 1.5e-7),
        ("is_closed", "true", True),
        ("is_closed", "yes", None),
        ("event_at", "2026-01-01T00:00:00.000000Z", AT),
        ("user_id", "12", "12"),
    ]
    for name, text, expected in cases:
        assert pl.DataFrame({name: [text]}).select(parsed(columns[name])).item() == expected


def test_latency_is_the_wait_for_the_epoch_and_then_for_each_store_in_turn() -> None:
    archive = pl.DataFrame(
        {
            "topic": ["webtoon_user_events", "weather"],
            "epoch": [7, 7],
            "received_at": [AT, AT],
            "ingested_at": [AT.replace(microsecond=500_000), AT],
        }
    )
    stages = {"postgres": 0.02, "redis": 0.01, "delta": 0.1}
    lines = [{"event": "epoch", "job": "webtoon", "epoch": 7, "stages": stages}]
    found = latencies(archive, lines)
    assert {store: values["p50"] for store, values in found.items()} == {
        "PostgreSQL": 520.0,
        "Redis": 530.0,
        "Delta": 630.0,
    }


def test_a_run_is_the_same_when_it_is_simulated_again_and_all_of_it_is_told() -> None:
    again = sent_events(RUN)
    assert again.equals(sent_events(RUN))
    assert again.height == sum(1 for _ in records(seconds=2, start_us=RUN.start_us))
    assert set(again["kind"]) == {"clean", "bad", "late", "duplicate"}
    assert again.filter(pl.col("kind") == "bad")["reason"].null_count() == 0
    assert again.filter(pl.col("kind") != "bad")["event_id"].null_count() == 0


def test_sessions_carry_the_name_of_their_run() -> None:
    sessions = sent_events(RUN).filter(topic="webtoon_user_events", kind="clean")["session_id"]
    assert sessions.str.contains(webtoon(RUN).run, literal=True).all()
