"""Rejected events on a topic of their own: the original bytes, and in the headers where they came
from and why they were rejected.

A repeated epoch sends them again; `message_id`, the same each time, tells a reader so.
"""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from features.topics import DEAD_LETTERS
from streaming.ports import Epoch, Output

__all__ = ["DeadLetterTopicSink", "NotDelivered"]

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
    """Kafka did not take every dead letter; the epoch must be tried again."""


class DeadLetterTopicSink:
    """`write` returns when every letter is acknowledged by all replicas in sync."""

    name = "dead-letters"

    def __init__(self, brokers: str, *, topic: str = DEAD_LETTERS) -> None:
        self._producer = Producer({"bootstrap.servers": brokers, **SETTINGS})
        self._topic = topic

    def write(self, epoch: Epoch, output: Output) -> None:
        """Send the rejected events of the epoch; raises `NotDelivered`."""
        failures: list[str] = []

        def note(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error.str())

        for letter in output.dead.iter_rows(named=True):
            try:
                self._send(letter, note)
            except KafkaException as error:  # known at once: no such topic, too large
                failures.append(str(error.args[0]))
        left = self._producer.flush(TIMEOUT_S + 5)
        if failures or left:
            problem = failures[0] if failures else "no answer"
            raise NotDelivered(
                f"Epoch {epoch.number}: {len(failures) + left} of {output.dead.height} dead "
                f"letters were not taken by topic {self._topic}: {problem}."
            )

    def close(self) -> None:
        """Wait for what is under way."""
        self._producer.flush(TIMEOUT_S)

    def _send(self, letter: dict[str, Any], note: Any) -> None:
        message = {
            "key": letter["key"],
            "value": letter["payload"],
            "headers": _headers(letter),
            "on_delivery": note,
        }
        while True:
            try:
                self._producer.produce(self._topic, **message)
            except BufferError:
                self._producer.poll(0.1)  # the queue is full: let some go first
            else:
                self._producer.poll(0)
                return


def _headers(letter: dict[str, Any]) -> list[tuple[str, bytes]]:
    topic, partition, offset = letter["topic"], letter["partition"], letter["offset"]
    headers = {
        "message_id": f"{topic}/{partition}/{offset}",
        "source_topic": topic,
        "source_partition": str(partition),
        "source_offset": str(offset),
        "reason_code": letter["reason_code"],
    }
    return [(name, value.encode()) for name, value in headers.items()]
