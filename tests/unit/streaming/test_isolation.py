"""A key that breaks a stage is set aside, and every other entity has the row it would have had."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from features.contracts import CONTRACTS
from features.decoding import Decoder
from features.dimensions import no_dimensions
from streaming.entity_stage import EntityStage
from streaming.event_stage import EventStage
from streaming.jobs import JOBS, Job
from streaming.outcome import FEED, Outcome
from streaming.packing import concat, from_blob, to_blob
from streaming.state.memory import MemoryState
from streaming.visits import SessionKeeper
from streaming.windowed import WindowedKeeper

NOW_US = 1_790_000_000_000_000
JOB, TOPIC = JOBS["webtoon"], "webtoon_user_events"


class Poisoned(Exception):
    """Of the key."""


def events(*sessions: str) -> pl.DataFrame:
    """Two events of each session."""
    values = [
        b'{"user_id": "u-%s", "session_id": "%s", "episode_id": "e", "event_type": "%s", '
        b'"country": "KR", "device": "mobile", "platform": "ios", "timestamp": %d}'
        % (session.encode(), session.encode(), kind, NOW_US // 1000 + place)
        for session in sessions
        for place, kind in enumerate((b"enter", b"complete"))
    ]
    count = len(values)
    received = pl.Series([NOW_US] * count, dtype=pl.Int64)
    decoded = Decoder(CONTRACTS[TOPIC]).decode(list[Any](values), received).events.drop("row")
    return decoded.with_columns(
        pl.col("event_at").dt.timestamp("us"),
        kafka_partition=pl.lit(0, pl.Int32),
        kafka_offset=pl.int_range(count, dtype=pl.Int64),
        received_at=received,
        raw=pl.lit(None, pl.Binary),
    )


def event_stage(job: Job = JOB) -> EventStage:
    stage = EventStage(job, no_dimensions(), 1)
    stage.init(MemoryState())  # type: ignore[arg-type]
    return stage


def taken(stage: EventStage, frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    outcome = Outcome(0)
    stage.take({TOPIC: [to_blob(frame)]}, outcome, watermark=None)
    return frames(outcome)


def frames(outcome: Outcome) -> dict[str, pl.DataFrame]:
    kinds: dict[str, list[pl.DataFrame]] = {}
    for _, kind, blob in outcome.rows:
        kinds.setdefault(kind, []).append(from_blob(blob))
    return {kind: concat(parts) for kind, parts in kinds.items()}


def assert_same(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> None:
    kind, key = "rows:session_features", ["session_id", "episode_id"]
    assert_frame_equal(one[kind].sort(key), other[kind].sort(key))


def poison(monkeypatch: pytest.MonkeyPatch, session: str) -> None:
    """Let a session break the keeper of the sessions."""
    step = SessionKeeper.step

    def poisoned(self: Any, rows: pl.DataFrame, now: int) -> Any:
        done = step(self, rows, now)  # so that it has written before it raises
        if session in rows["session_id"].to_list():
            raise Poisoned(session)
        return done

    monkeypatch.setattr(SessionKeeper, "step", poisoned)


def poison_entity(monkeypatch: pytest.MonkeyPatch, entity: str, value: str) -> None:
    """Let an entity break the keeper of its windows."""
    step = WindowedKeeper.step

    def poisoned(self: Any, rows: pl.DataFrame, *args: Any, **named: Any) -> Any:
        done = step(self, rows, *args, **named)
        if self._entity == (entity,) and value in rows[entity].to_list():
            raise Poisoned(value)
        return done

    monkeypatch.setattr(WindowedKeeper, "step", poisoned)


def test_a_session_that_breaks_the_first_stage_becomes_dead_letters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poison(monkeypatch, "s3")
    stage = event_stage()
    found = taken(stage, events("s1", "s2", "s3", "s4", "s5"))
    dead = found["dead"]
    assert dead["reason_code"].to_list() == ["step_failed"] * 2
    assert dead["offset"].to_list() == [4, 5]
    assert "Poisoned in poisoned of test_isolation.py" in dead["reason"][0]
    assert "s3" not in dead["reason"][0]
    others = taken(event_stage(), events("s1", "s2", "s4", "s5"))
    assert_same(found, others)
    assert sorted(found[f"events:{TOPIC}"]["session_id"].unique()) == ["s1", "s2", "s4", "s5"]


def test_its_letters_can_be_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, "s1")
    payloads = taken(event_stage(), events("s1"))["dead"]["payload"].to_list()
    received = pl.Series([NOW_US] * len(payloads), dtype=pl.Int64)
    again = Decoder(CONTRACTS[TOPIC]).decode(payloads, received)
    assert again.rejects.is_empty()
    assert again.events["event_id"].to_list() == events("s1")["event_id"].to_list()


def test_a_failed_part_leaves_no_trace_in_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = event_stage()
    with monkeypatch.context() as patched:
        poison(patched, "s2")
        taken(stage, events("s1", "s2"))
    # Were its ids remembered, these would be copies; were the visit kept, it would have four.
    found = taken(stage, events("s2"))
    clean = taken(event_stage(), events("s2"))
    assert_same(found, clean)


def test_an_entity_that_breaks_the_second_stage_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fed = taken(event_stage(), events("s1", "s2", "s3"))
    blobs = {
        kind.removeprefix(FEED): [to_blob(frame)]
        for kind, frame in fed.items()
        if kind.startswith(FEED)
    }
    poison_entity(monkeypatch, "user_id", "u-s2")
    stage = EntityStage(JOB, no_dimensions())
    stage.init(MemoryState())  # type: ignore[arg-type]
    outcome = Outcome(0)
    stage.take(blobs, outcome, watermark=None, is_exact=True)
    found = frames(outcome)
    assert found["refused"].select("store", "target", "key").rows() == [
        ("stage", "readers", "u-s2")
    ]
    assert sorted(found["rows:user_features"]["user_id"]) == ["u-s1", "u-s3"]
    assert found["rows:episode_features"]["episode_id"].to_list()[-1] == "e"


def test_where_no_key_is_to_blame_it_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise Poisoned("the store is away")

    monkeypatch.setattr(SessionKeeper, "step", broken)
    with pytest.raises(Poisoned, match="the store is away"):
        taken(event_stage(), events("s1", "s2"))
