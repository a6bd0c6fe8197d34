"""The topics that an epoch writes: dead letters, and rows of views that have a topic."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import polars as pl
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from sinks_suite.stores import VIEW, epoch, letters, output

from features.views import Messages
from infra.endpoints import Endpoints
from streaming.sinks.topics import DeadLetterTopicSink, FeatureTopicSink, NotDelivered

pytestmark = pytest.mark.stack


def new_topic(servers: str) -> str:
    name = f"suite-{uuid4().hex[:8]}"
    config = {"max.message.bytes": str(8 << 20)}
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(name, 1, 1, config=config)])[name].result()
    return name


def consumed(servers: str, topic: str, count: int) -> list[Any]:
    reader = Consumer({"bootstrap.servers": servers, "group.id": "suite"})
    reader.assign([TopicPartition(topic, 0, 0)])
    try:
        return reader.consume(count, timeout=20)
    finally:
        reader.close()


def test_a_dead_letter_is_the_message_and_its_origin(stack: Endpoints) -> None:
    topic = new_topic(stack.kafka)
    sink = DeadLetterTopicSink(stack.kafka, topic=topic)
    payloads = [b"\xff{", None, b"", bytes(range(256)) * (5 << 12)]
    dead = letters(
        *({"topic": "t", "offset": n, "payload": p} for n, p in enumerate(payloads))
    ).with_columns(key=pl.when(pl.col("offset") > 0).then("key"))
    sink.write(epoch(0), output(dead=dead))
    found = consumed(stack.kafka, topic, len(payloads))
    sink.close()
    assert [message.value() for message in found] == payloads
    assert [message.key() for message in found] == [None, b"k", b"k", b"k"]
    assert dict(found[1].headers()) == {
        "message_id": b"t/1/1",
        "source_topic": b"t",
        "source_partition": b"1",
        "source_offset": b"1",
        "reason_code": b"not_json",
    }


def test_a_dead_letter_that_is_not_taken_is_an_error(stack: Endpoints) -> None:
    sink = DeadLetterTopicSink(stack.kafka, topic="no such topic")
    # The first time the answer comes with the delivery, then the client knows it beforehand.
    for _ in range(2):
        with pytest.raises(NotDelivered, match="1 of 1"):
            sink.write(epoch(0), output(dead=letters({})))


def test_a_changed_row_is_a_message_with_the_same_id_each_time(stack: Endpoints) -> None:
    topic = new_topic(stack.kafka)
    view = replace(VIEW, messages=Messages(topic=topic, columns=("ratio", "note")))
    sink = FeatureTopicSink(stack.kafka, views={VIEW.name: view})
    for _ in range(2):
        sink.write(epoch(4), output({"note": "웹툰"}, {"reader_id": "r|2", "ratio": None}))
    found = consumed(stack.kafka, topic, 4)
    sink.close()
    assert [message.key() for message in found] == [b"r1|e1", b"r|2|e1"] * 2
    bodies = [json.loads(message.value()) for message in found]
    assert bodies[:2] == bodies[2:]
    first = bodies[0]
    assert first.pop("message_id").startswith("sink_suite/")
    assert first == {
        "reader_id": "r1",
        "episode_id": "e1",
        "ratio": 0.5,
        "note": "웹툰",
        "event_at": "2026-01-01T00:00:01Z",
    }
    assert bodies[1]["ratio"] is None
    assert bodies[0] != bodies[1]
