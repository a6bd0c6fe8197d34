"""Dead letters on their way back: Kafka, Spark, all stores, the archive and a backfill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
import redis
from comparing import online
from confluent_kafka import Producer
from dead_letters import TOPIC, event, status_of, topic_holds
from deltalake import DeltaTable

from infra.dead_letters.letters import Place
from infra.endpoints import Endpoints

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]
START_US = 1_790_000_000_000_000
MINUTE_US = 60_000_000
# Dies where it hurts most: what it sent is in Kafka, and PostgreSQL does not know.
DIES = """
import os
from infra.cli import main
from infra.dead_letters import trail
trail.end = lambda *_: os._exit(9)
main()
"""
REPLAY = ("dlq", "replay", "--json")


@dataclass(frozen=True)
class Story:
    """What each replay said, and the rows of sessions before the first and after each."""

    stack: Endpoints
    home: Path
    letters: Mapping[str, Place]
    said: list[dict[str, Any]]
    rows: list[dict[tuple[Any, ...], dict[str, Any]]]


def started(home: Path, *arguments: str, program: tuple[str, ...]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        env={**os.environ, "USERFLOW_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def userflow(home: Path, *arguments: str) -> str:
    return output_of(started(home, *arguments, program=("-m", "infra")))


def output_of(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    return out


def stream(home: Path) -> None:
    userflow(home, "stream", "--jobs", "webtoon", "--available-now")


def first_events() -> dict[str, bytes]:
    """By event id. Of each session `s-*` one event is good, and one is refused for its country."""
    hours_ago = START_US - 3 * 60 * MINUTE_US
    return {
        "newest": event(START_US, event_id="newest", session_id="clock"),
        "good": event(START_US, event_id="good", session_id="s-sent"),
        "sent": event(
            START_US, event_id=None, session_id="s-sent", country="kr", scroll_ratio=0.75
        ),
        "good too": event(START_US, event_id="good too", session_id="s-died"),
        "died": event(START_US, event_id=None, session_id="s-died", country="kr"),
        "over": event(START_US - 45 * MINUTE_US, event_id="over", session_id="o", country="kr"),
        "old": event(hours_ago, event_id="old", session_id="old", country="kr"),
    }


def send(stack: Endpoints, values: Mapping[str, bytes]) -> None:
    producer = Producer({"bootstrap.servers": stack.kafka})
    headers = [("received_at", str(START_US // 1000).encode())]
    for name, value in values.items():
        producer.produce(TOPIC, value=value, key=name.encode(), headers=headers)
    assert producer.flush(60) == 0


def mend(stack: Endpoints) -> dict[str, Place]:
    """What was wrong with the letters is no longer: by the name that is their key."""
    with psycopg.connect(stack.postgres) as connection:
        rows = connection.execute(
            "UPDATE ops.dead_letters SET payload = convert_to(replace("
            "convert_from(payload, 'UTF8'), '\"kr\"', '\"KR\"'), 'UTF8') "
            "RETURNING convert_from(key, 'UTF8'), topic, partition, \"offset\""
        ).fetchall()
    return {name: Place(topic, partition, offset) for name, topic, partition, offset in rows}


@pytest.fixture(scope="module")
def story(stack: Endpoints, stack_home: Path) -> Story:
    send(stack, first_events())
    stream(stack_home)
    letters = mend(stack)
    rows = [online(stack, "session_features")]
    dying = started(stack_home, *REPLAY, str(letters["died"]), program=("-c", DIES))
    dying.communicate(timeout=60)
    assert dying.returncode == 9
    # It waits for a stream; one that starts now reads what it has sent.
    waiting = started(stack_home, *REPLAY, "--wait", "200", program=("-m", "infra"))
    while status_of(stack, letters["old"])[0] == "open" and waiting.poll() is None:
        time.sleep(0.2)
    stream(stack_home)
    said = [json.loads(output_of(waiting))]
    rows.append(online(stack, "session_features"))
    said += [json.loads(userflow(stack_home, *REPLAY, "--wait", "0")) for _ in range(2)]
    stream(stack_home)
    rows.append(online(stack, "session_features"))
    return Story(stack, stack_home, letters, said, rows)


def test_every_letter_is_dealt_with_once(story: Story) -> None:
    first, second, third = story.said
    fates = {fate["letter"]: fate["outcome"] for fate in first["fates"]}
    assert fates == {
        str(story.letters["sent"]): "sent",
        str(story.letters["over"]): "sent",
        str(story.letters["old"]): "archived",
    }
    assert first["recovered"] == 1
    assert [fate["outcome"] for fate in second["fates"]] == ["archived"]
    assert third["fates"] == []


def test_each_event_counts_once_in_every_store(story: Story) -> None:
    before, after, at_last = story.rows
    client = redis.Redis.from_url(story.stack.redis, decode_responses=True)
    log = pl.DataFrame(
        DeltaTable(f"{story.stack.lake}/features/session_features").to_pyarrow_table()
    )
    newest = log.sort("batch_id").unique("session_id", keep="last").to_dicts()
    logged = {row["session_id"]: row["event_count"] for row in newest}
    for session in ("s-sent", "s-died"):
        assert before[session, "ep_0001"]["event_count"] == 1
        assert after[session, "ep_0001"]["event_count"] == 2
        assert client.hget(f"webtoon_session:{session}:ep_0001", "event_count") == "2"
        assert logged[session] == 2
    assert at_last == after


@pytest.mark.parametrize("name", ["sent", "died", "over"])
def test_the_topic_has_each_letter_once_where_it_was(story: Story, name: str) -> None:
    place = story.letters[name]
    (record,) = topic_holds(story.stack, TOPIC, place)
    assert (record.key(), record.partition()) == (name.encode(), place.partition)
    assert dict(record.headers())["received_at"] == str(START_US // 1000).encode()


def test_the_replay_says_how_many_features_changed(story: Story) -> None:
    changed = story.said[0]["features_changed"]
    of_sessions = changed["views"]["session_features"]
    names = [
        name
        for name, value in story.rows[1]["s-sent", "ep_0001"].items()
        if name not in ("updated_at", "event_at", "epoch", "generation", "feature_version")
        and value != story.rows[0]["s-sent", "ep_0001"][name]
    ]
    assert of_sessions == {"rows": 1, "features": len(names)}
    # The reader has scrolled further, in all that is kept of readers, episodes and countries.
    assert changed["features"] > len(names) > 2


def test_what_the_stream_rejects_again_is_said_and_linked(story: Story) -> None:
    assert story.said[0]["came_back"] == {"late": 1}
    shown = json.loads(userflow(story.home, "dlq", "show", str(story.letters["over"]), "--json"))
    (again,) = shown["came_back_as"]
    assert shown["replays"][0]["sent_to"] == again
    other = json.loads(userflow(story.home, "dlq", "show", again, "--json"))
    assert other["comes_from"] == [str(story.letters["over"])]
    assert other["status"] == "archived"


def test_a_backfill_counts_what_was_late(story: Story) -> None:
    archive = DeltaTable(f"{story.stack.lake}/events/{TOPIC}").to_pyarrow_table()
    ids = archive["event_id"].to_pylist()
    assert len(ids) == len(set(ids)) == len(first_events())
    command = story.said[0]["backfill"]["command"].split()
    userflow(story.home, *command[1:], "--view", "session_features")
    log = pl.DataFrame(
        DeltaTable(f"{story.stack.lake}/features/session_features").to_pyarrow_table()
    )
    counted = log.filter(pl.col("generation") == 0)["session_id"].to_list()
    assert {"old", "o", "s-sent", "s-died"} <= set(counted)
