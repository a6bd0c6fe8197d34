"""A dead letter comes back once, with the real Kafka, PostgreSQL and Delta, whatever dies."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from click.testing import CliRunner
from dead_letters import TOPIC, event, put, status_of, topic_holds
from deltalake import DeltaTable
from stacks import consume

from infra.cli import main
from infra.database import PIPELINE
from infra.dead_letters import trail
from infra.dead_letters.letters import (
    Place,
    Selection,
    connected,
    count_of_each,
    newest,
)
from infra.dead_letters.replay import preview, replay
from infra.dead_letters.report import Replayed
from infra.endpoints import Endpoints
from infra.errors import ReplayFailed

pytestmark = pytest.mark.stack
NOW_US = time.time_ns() // 1000
HOUR_US = 3_600_000_000


@pytest.fixture
def stack(stack: Endpoints, tmp_path: Path) -> Endpoints:
    """No letters, and a lake of its own."""
    with psycopg.connect(stack.postgres) as connection:
        connection.execute("TRUNCATE ops.dead_letters, ops.dead_letter_replays, ops.stream_epochs")
    return replace(stack, lake=str(tmp_path / "lake"))


def run(stack: Endpoints, *places: Place, **chosen: Any) -> Replayed:
    selection = Selection(places=places, **chosen)
    stop = threading.Event()
    return replay(selection, endpoints=stack, wait_s=0, say=lambda _: None, stop=stop)


def valid(stack: Endpoints, offset: int, partition: int = 1, **change: Any) -> Place:
    payload = event(NOW_US, event_id=f"e{offset}", **change)
    at = Place(TOPIC, partition, offset)
    return put(stack, at, payload, key=b"the key", received_at_us=NOW_US)


def archived(stack: Endpoints) -> list[str]:
    table = DeltaTable(f"{stack.lake}/events/{TOPIC}").to_pyarrow_table(columns=["event_id"])
    return sorted(pl.DataFrame(table)["event_id"])


def outcomes(stack: Endpoints, place: Place) -> list[str]:
    with connected(stack) as connection:
        return [one.outcome for one in trail.tries_of(connection, place)]


def test_a_letter_is_sent_once_as_it_was(stack: Endpoints) -> None:
    place = valid(stack, 70_001)
    report = run(stack)
    assert [fate.outcome for fate in report.fates] == ["sent"]
    again = run(stack)
    assert not again.fates
    assert run(stack, place).not_open == [place]
    (record,) = topic_holds(stack, TOPIC, place)
    assert (record.key(), record.partition()) == (b"the key", 1)
    assert record.value() == event(NOW_US, event_id="e70001")
    assert dict(record.headers())["received_at"] == str(NOW_US // 1000).encode()
    assert report.sent_to == [Place(TOPIC, 1, record.offset())]
    assert status_of(stack, place) == ("replayed", "wrong_type")
    assert outcomes(stack, place) == ["sent"]


def test_what_is_still_invalid_stays_open_with_its_reason_now(stack: Endpoints) -> None:
    place = put(stack, Place(TOPIC, 0, 70_010), event(NOW_US, country="kr"))
    report = run(stack)
    assert [(fate.outcome, fate.reason_code) for fate in report.fates] == [
        ("invalid", "not_allowed")
    ]
    assert status_of(stack, place) == ("open", "not_allowed")
    assert topic_holds(stack, TOPIC, place) == []
    run(stack)
    assert outcomes(stack, place) == ["invalid", "invalid"]


@pytest.mark.parametrize("payload", [None, b"", b"\xff\xfe", b"\xef\xbb\xbf{}", b"[" * 100])
def test_any_payload_can_be_judged(stack: Endpoints, payload: bytes | None) -> None:
    place = put(stack, Place(TOPIC, 0, 70_020), payload)
    assert [fate.reason_code for fate in run(stack).fates] == ["not_json"]
    assert status_of(stack, place) == ("open", "not_json")


def test_a_place_that_kafka_does_not_have_keeps_its_letter_open(stack: Endpoints) -> None:
    valid(stack, 70_030, partition=77)
    put(stack, Place("gone", 0, 1), event(NOW_US))
    assert {fate.reason_code for fate in run(stack).fates} == {"unknown_topic"}
    assert status_of(stack, Place("gone", 0, 1)) == ("open", "wrong_type")


def test_a_letter_without_a_key_gets_that_of_its_contract(stack: Endpoints) -> None:
    """A compacted topic takes no record without one."""
    payload = b'{"user_id": 7, "country": "KR"}'
    place = put(stack, Place("user-profiles", 2, 70_040), payload)
    assert run(stack, place).count("sent") == 1
    (record,) = topic_holds(stack, "user-profiles", place)
    assert (record.key(), record.partition()) == (b"7", 2)


def test_the_time_bounds_are_those_of_the_first_receipt(stack: Endpoints) -> None:
    month_ago = NOW_US - 60 * 24 * HOUR_US
    place = put(stack, Place(TOPIC, 0, 70_050), event(month_ago), received_at_us=month_ago)
    unknown = put(stack, Place(TOPIC, 0, 70_051), event(month_ago, event_id="f"))
    fates = {fate.place: fate.reason_code for fate in run(stack).fates}
    assert fates == {place: None, unknown: "too_old"}


def test_a_replay_that_dies_between_sending_and_commit_sends_nothing_twice(
    stack: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = valid(stack, 70_060)
    with monkeypatch.context() as broken:
        broken.setattr(trail, "end", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(stack)
    assert status_of(stack, place) == ("open", "wrong_type")
    assert len(topic_holds(stack, TOPIC, place)) == 1
    forget_the_time(stack)
    report = run(stack)
    assert (report.recovered, report.fates) == (1, [])
    (record,) = topic_holds(stack, TOPIC, place)
    with connected(stack) as connection:
        (one,) = trail.tries_of(connection, place)
    assert (one.outcome, one.sent_offset) == ("sent", record.offset())
    assert status_of(stack, place) == ("replayed", "wrong_type")


def test_a_replay_that_dies_before_sending_is_made_up_for(
    stack: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = valid(stack, 70_070)
    with monkeypatch.context() as broken:
        broken.setattr(
            "infra.dead_letters.topic.Topics.send", lambda *_: (_ for _ in ()).throw(SystemExit)
        )
        with pytest.raises(SystemExit):
            run(stack)
    forget_the_time(stack)
    assert [fate.outcome for fate in run(stack).fates] == ["sent"]
    assert len(topic_holds(stack, TOPIC, place)) == 1
    assert outcomes(stack, place) == ["lost", "sent"]


def forget_the_time(stack: Endpoints) -> None:
    """Let the try be older than the time that a replay would wait for it."""
    with psycopg.connect(stack.postgres) as connection:
        connection.execute(
            "UPDATE ops.dead_letter_replays SET started_at = started_at - interval '1 hour'"
        )


def test_of_two_replays_at_once_one_sends(stack: Endpoints) -> None:
    places = [valid(stack, 70_100 + number) for number in range(50)]
    reports: list[Replayed] = []
    threads = [threading.Thread(target=lambda: reports.append(run(stack))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.count("sent") for report in reports) == [0, 0, 50]
    sent = [dict(m.headers() or []).get("replay_of") for m in consume(stack, TOPIC)]
    assert [sent.count(str(place).encode()) for place in places] == [1] * 50


def test_a_late_letter_is_archived_once(stack: Endpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    long_ago = NOW_US - 30 * HOUR_US
    late = put(
        stack,
        Place(TOPIC, 3, 70_200),
        event(long_ago, event_id=None),
        received_at_us=NOW_US,
        reason="late",
    )
    copy = put(
        stack,
        Place(TOPIC, 2, 70_201),
        event(long_ago, event_id=None),
        received_at_us=NOW_US,
        reason="late",
    )
    with monkeypatch.context() as broken:
        broken.setattr(trail, "end", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(stack)
    assert len(archived(stack)) == 1
    forget_the_time(stack)
    report = run(stack)
    assert len(archived(stack)) == 1
    assert not run(stack).fates
    assert [status_of(stack, place)[0] for place in (late, copy)] == ["archived"] * 2
    assert topic_holds(stack, TOPIC, late) == []
    assert report.backfill is not None
    day = report.backfill[0].isoformat()
    assert f"userflow backfill --from {day} --to {day}" in "\n".join(report.lines())


def test_what_the_stream_would_only_call_late_is_archived_too(stack: Endpoints) -> None:
    with psycopg.connect(stack.postgres) as connection:
        connection.execute(
            "INSERT INTO ops.stream_epochs VALUES ('webtoon', 'c', 0, 1, now(), "
            "to_timestamp(%s), '{\"offsets\": {}}', 0, 0, 0, 0, 0)",
            [(NOW_US + HOUR_US) / 1e6],
        )
    in_time = put(stack, Place(TOPIC, 0, 70_210), event(NOW_US + 1_000_000, event_id="a"))
    behind = put(stack, Place(TOPIC, 0, 70_211), event(NOW_US - 1_000_000, event_id="b"))
    fates = {fate.place: fate.outcome for fate in run(stack).fates}
    assert fates == {in_time: "sent", behind: "archived"}
    assert archived(stack) == ["b"]


def test_two_appends_at_the_same_time_are_one(stack: Endpoints) -> None:
    """A replay that lost its connection, and so its turn, may still be about to append."""
    from infra.dead_letters import archive, judging, letters

    place = put(stack, Place(TOPIC, 0, 70_220), event(NOW_US), reason="late")
    with connected(stack) as connection:
        (judged,) = judging.judge(letters.read(connection, [place]))
    first = archive.DeltaSink(stack.lake)
    first.ensure(topics=[TOPIC])
    archive.append(stack.lake, {TOPIC: judged.events}, 8, NOW_US)
    archive.append(stack.lake, {TOPIC: judged.events}, 7, NOW_US)
    assert archived(stack) == ["e"]


def test_a_preview_changes_nothing(stack: Endpoints) -> None:
    place = valid(stack, 70_230)
    put(stack, Place(TOPIC, 0, 70_231), b"{")
    report = preview(Selection(), endpoints=stack)
    assert (report.count("sent"), report.count("invalid")) == (1, 1)
    assert topic_holds(stack, TOPIC, place) == []
    assert outcomes(stack, place) == []


def test_letters_are_chosen(stack: Endpoints) -> None:
    first = put(stack, Place("user-events", 0, 1), b"{", reason="not_json")
    second = put(stack, Place(TOPIC, 0, 2), b"{}", reason="missing_field")
    with psycopg.connect(stack.postgres) as owner:
        owner.execute(
            "UPDATE ops.dead_letters SET created_at = now() - interval '2 h' "
            "WHERE topic = 'user-events'"
        )
    with connected(stack) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (PIPELINE,)

        def found(**chosen: Any) -> list[Place]:
            return [heading.place for heading in newest(connection, Selection(**chosen), 10)]

        assert found() == [second, first]
        assert found(reason="not_json") == [first]
        assert found(topic=TOPIC) == [second]
        assert found(status="replayed") == []
        assert found(places=(first,)) == [first]
        assert count_of_each(connection, Selection(topic=TOPIC)) == [
            (TOPIC, "missing_field", "open", 1)
        ]


def test_a_letter_that_is_not_there_is_named(stack: Endpoints) -> None:
    with pytest.raises(ReplayFailed, match="no dead letter user-events/0/9"):
        run(stack, Place("user-events", 0, 9))


def test_a_letter_that_came_back_again_is_linked(stack: Endpoints) -> None:
    first = valid(stack, 70_240)
    (sent,) = run(stack).sent_to
    put(stack, sent, b"{")
    with connected(stack) as connection:
        assert trail.chain(connection, first) == [first, sent]
        assert trail.chain(connection, sent) == [first, sent]


def said(home: Path, *arguments: str) -> Any:
    done = CliRunner().invoke(main, ["dlq", *arguments], env={"USERFLOW_HOME": str(home)})
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


def test_a_list_counts_and_names_letters_without_their_payload(
    stack: Endpoints, stack_home: Path
) -> None:
    assert "no such dead letters" in said(stack_home, "list")
    secret = put(stack, Place(TOPIC, 0, 70_300), b'{"user_id": "secret"}', reason="missing_field")
    newer = put(stack, Place("user-events", 1, 70_301), None, reason="not_json")
    listed = said(stack_home, "list", "--json", "--since", "1h", "--limit", "1")
    assert listed["total"] == 2
    assert sorted((row["reason_code"], row["letters"]) for row in listed["summary"]) == [
        ("missing_field", 1),
        ("not_json", 1),
    ]
    assert [row["place"] for row in listed["letters"]] == [str(newer)]
    text = said(stack_home, "list")
    assert f"missing_field  open      {secret}  21 B" in text
    assert "secret" not in text + json.dumps(listed)


def test_a_letter_is_shown_with_what_became_of_it(stack: Endpoints, stack_home: Path) -> None:
    place = put(stack, Place(TOPIC, 0, 70_310), b"\xff[/bold]", key=b"k")
    run(stack)
    shown = said(stack_home, "show", str(place), "--json")
    assert (shown["payload"], shown["key"], shown["status"]) == ("\\xff[/bold]", "k", "open")
    assert b64decode(shown["payload_base64"]) == b"\xff[/bold]"
    assert shown["now"]["reason_code"] == "not_json"
    assert [one["outcome"] for one in shown["replays"]] == ["invalid"]
    assert "\\xff[/bold]" in said(stack_home, "show", str(place))


def test_a_replay_is_one_command(stack: Endpoints, stack_home: Path) -> None:
    place = valid(stack, 70_320)
    assert said(stack_home, "replay", "--dry-run", "--json")["sent"] == 1
    done = said(stack_home, "replay", str(place), "--wait", "0.5", "--json")
    assert [fate["outcome"] for fate in done["fates"]] == ["sent"]
    assert (done["features_changed"], done["idle_jobs"]) == (None, ["webtoon"])
    assert "came back before" in said(stack_home, "replay", str(place))
    wrong = CliRunner().invoke(
        main, ["dlq", "show", "t/0/0"], env={"USERFLOW_HOME": str(stack_home)}
    )
    assert wrong.exit_code == 1
    assert CliRunner().invoke(main, ["dlq", "show", "here"]).exit_code == 2
