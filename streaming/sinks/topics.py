"""What an epoch sends to Kafka: its rejected events, rows of views that have a topic, findings.

A repeated epoch sends the same messages again; `message_id`, the same each time, tells a reader so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import polars as pl
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from features.topics import DEAD_LETTERS
from features.views import VIEWS, FeatureView, Messages
from streaming.ports import Epoch, Output, Sink, Write, no_refusals, refusals

__all__ = ["DeadLetterTopicSink", "FeatureTopicSink", "NotDelivered"]

MAX_BYTES = 9 << 20
TIMEOUT_S = 60.0
SETTINGS = {
    "enable.idempotence": True,
    "acks": "all",
    "message.max.bytes": MAX_BYTES,
    "delivery.timeout.ms": int(TIMEOUT_S * 1000),
    "compression.type": "lz4",
    "partitioner": "murmur2_random",  # where Java clients would place the same key
    "linger.ms": 5,
    "log_level": 0,  # what does not heal fails the delivery, and that is raised
}


class NotDelivered(RuntimeError):
    """Kafka did not take every message; the epoch must be tried again."""


class DeadLetterTopicSink(Sink):
    """Rejected events: the original bytes, and in the headers where they came from and why they
    were rejected. `write` returns when every letter is acknowledged by all replicas in sync.
    """

    name = "dead-letters"

    def __init__(self, brokers: str, *, topic: str = DEAD_LETTERS) -> None:
        self._producer = Producer({"bootstrap.servers": brokers, **SETTINGS})
        self._topic = topic

    def prepared(self, epoch: Epoch, output: Output) -> Write:
        """Send the rejected events of the epoch; raises `NotDelivered`."""
        letters = output.dead.iter_rows(named=True)
        messages = [_letter(letter) for letter in letters]
        return partial(_deliver, self._producer, self._topic, epoch, messages)

    def close(self) -> None:
        """Wait for what is under way."""
        self._producer.flush(TIMEOUT_S)


class FeatureTopicSink(Sink):
    """Changed rows of views that declare `messages`, keyed by the entity, and what rules find,
    keyed by the user: a JSON object each.
    """

    name = "topics"

    def __init__(self, brokers: str, *, views: Mapping[str, FeatureView] = VIEWS) -> None:
        self._producer = Producer({"bootstrap.servers": brokers, **SETTINGS})
        self._views = views

    def prepared(self, epoch: Epoch, output: Output) -> Write:
        """Send what has changed and what rules have found; raises `NotDelivered`."""
        sent = [(topic, _found(found)) for topic, found in output.sent.items()]
        for name, rows in output.rows.items():
            view = self._views[name]
            if view.messages is not None:
                sent.append((view.messages.topic, _messages(view, view.messages, epoch, rows)))

        def write() -> pl.DataFrame:
            refused = [_deliver(self._producer, topic, epoch, messages) for topic, messages in sent]
            return pl.concat([no_refusals(), *refused])

        return write

    def close(self) -> None:
        """Wait for what is under way."""
        self._producer.flush(TIMEOUT_S)


def _deliver(
    producer: Producer, topic: str, epoch: Epoch, messages: Sequence[Mapping[str, Any]]
) -> pl.DataFrame:
    """Returns what no broker will ever take; raises `NotDelivered` for all else."""
    failures: list[str] = []
    too_large: list[str] = []

    def failed(error: KafkaError, key: str | bytes | None) -> None:
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            too_large.append(key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key))
        else:
            failures.append(error.str())

    def note(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failed(error, message.key())

    for message in messages:
        try:
            _send(producer, topic, {**message, "on_delivery": note})
        except KafkaException as error:  # known at once: no such topic, too large
            failed(error.args[0], message["key"])
    left = producer.flush(TIMEOUT_S + 5)
    if failures or left:
        problem = failures[0] if failures else "no answer"
        raise NotDelivered(
            f"Epoch {epoch.number}: {len(failures) + left} of {len(messages)} messages were not "
            f"taken by topic {topic}: {problem}."
        )
    return refusals(
        "kafka", topic, pl.Series(too_large, dtype=pl.String), "The message is too large."
    )


def _send(producer: Producer, topic: str, message: Mapping[str, Any]) -> None:
    while True:
        try:
            producer.produce(topic, **message)
        except BufferError:
            producer.poll(0.1)  # the queue is full: let some go first
        else:
            producer.poll(0)
            return


def _letter(letter: Mapping[str, Any]) -> dict[str, Any]:
    topic, partition, offset = letter["topic"], letter["partition"], letter["offset"]
    headers = {
        "message_id": f"{topic}/{partition}/{offset}",
        "source_topic": topic,
        "source_partition": str(partition),
        "source_offset": str(offset),
        "reason_code": letter["reason_code"],
    }
    encoded = [(name, value.encode()) for name, value in headers.items()]
    return {"key": letter["key"], "value": letter["payload"], "headers": encoded}


def _found(found: pl.DataFrame) -> list[dict[str, Any]]:
    """What a rule finds has a name that no retry changes: the detection's, or event and rule."""
    if "message_id" not in found.columns:
        found = found.with_columns(
            message_id=pl.concat_str("event_id", "alert_type", separator="/")
        )
    return [
        {"key": row["user_id"], "value": msgspec.json.encode(row)} for row in found.rows(named=True)
    ]


def _messages(
    view: FeatureView, declared: Messages, epoch: Epoch, rows: pl.DataFrame
) -> list[dict[str, Any]]:
    run = f"{view.name}/{epoch.checkpoint_id}/{epoch.number}"
    columns = (*view.key, *declared.columns, "event_at")
    chosen = rows.select(*columns).rows(named=True)
    return [
        {"key": key, "value": msgspec.json.encode({"message_id": f"{run}/{key}", **row})}
        for row, key in zip(chosen, map("|".join, rows.select(view.key).rows()), strict=True)
    ]
