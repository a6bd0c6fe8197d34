"""Sending letters back to where they came from, and finding what was sent.

A record goes to the partition that its original lies in, with its key, its bytes and the time at
which it was received. Header `replay_of` names the letter: a process that died after sending leaves
it in the topic, for the next one to find.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from infra.dead_letters.letters import Place
from infra.errors import ReplayFailed
from infra.stack.probes import SILENT

__all__ = ["DELIVERY_S", "Record", "Topics", "opened"]

# After so long a record is either in the topic or will never be.
DELIVERY_S = 10
ANSWER_S = 10.0
MAX_BYTES = 9 << 20
REPLAY_OF = "replay_of"
PRODUCER = {
    "enable.idempotence": True,
    "acks": "all",
    "delivery.timeout.ms": DELIVERY_S * 1000,
    "message.max.bytes": MAX_BYTES,
    "compression.type": "lz4",
    "linger.ms": 5,
    **SILENT,
}
CONSUMER = {
    "group.id": "userflow-dlq",  # never joined: partitions are assigned
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "fetch.message.max.bytes": MAX_BYTES,
    **SILENT,
}
Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Record:
    """What is sent for a letter."""

    place: Place
    key: bytes | None
    value: bytes | None
    received_ms: int

    def headers(self) -> list[tuple[str, str | bytes | None]]:
        """`received_at` first: the stream looks there before it searches."""
        received = str(self.received_ms).encode()
        return [("received_at", received), (REPLAY_OF, str(self.place).encode())]


class Topics:
    """Both directions of one broker."""

    def __init__(self, brokers: str) -> None:
        self._producer = Producer({"bootstrap.servers": brokers, **PRODUCER})
        self._consumer = Consumer({"bootstrap.servers": brokers, **CONSUMER})

    def close(self) -> None:
        """Nothing is under way between two calls."""
        self._consumer.close()

    def ends(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The offset that the next record of each partition gets; those that Kafka has."""
        known = self._consumer.list_topics(timeout=ANSWER_S).topics
        return {
            (topic, partition): self._bounds(topic, partition)[1]
            for topic, partition in partitions
            if topic in known and partition in known[topic].partitions
        }

    def send(self, records: Sequence[Record]) -> tuple[dict[Place, int], str]:
        """Send and wait: the offset of each that was acknowledged, and what hindered the others."""
        offsets: dict[Place, int] = {}
        failures: list[str] = []
        for record in records:
            self._produce(record, offsets, failures)
        left = self._producer.flush(DELIVERY_S + 5)
        return offsets, failures[0] if failures else "no answer" if left else ""

    def find(self, wanted: Mapping[Place, int]) -> dict[Place, int]:
        """At which offset each letter was sent; `wanted`: from where on to look for it."""
        found: dict[Place, int] = {}
        starts: dict[Partition, int] = {}
        for place, start in wanted.items():
            partition = (place.topic, place.partition)
            starts[partition] = min(start, starts.get(partition, start))
        names = {str(place).encode(): place for place in wanted}
        for partition, end in self.ends(starts).items():
            for message in self._read(partition, starts[partition], end):
                offset, name = message.offset(), _replay_of(message)
                if name in names and offset is not None:
                    found[names[name]] = offset
        return found

    def _bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return self._consumer.get_watermark_offsets(
            TopicPartition(topic, partition), timeout=ANSWER_S
        )

    def _produce(self, record: Record, offsets: dict[Place, int], failures: list[str]) -> None:
        def note(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error.str())
            else:
                offsets[record.place] = message.offset()  # type: ignore[assignment]

        while True:
            try:
                self._producer.produce(
                    record.place.topic,
                    value=record.value,
                    key=record.key,
                    partition=record.place.partition,
                    headers=record.headers(),
                    on_delivery=note,
                )
            except BufferError:
                self._producer.poll(0.1)  # the queue is full: let some go first
            except KafkaException as error:  # known at once: too large
                return failures.append(error.args[0].str())
            else:
                self._producer.poll(0)
                return None

    def _read(self, partition: Partition, start: int, end: int) -> Iterator[Message]:
        first = max(start, self._bounds(*partition)[0])
        if first >= end:
            return
        self._consumer.assign([TopicPartition(*partition, first)])
        while message := self._consumer.poll(ANSWER_S):
            error = message.error()
            if error is None:
                yield message
            elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                raise KafkaException(error)
            # A compacted log may end before `end`: its last records are gone.
            if error is not None or (message.offset() or 0) >= end - 1:
                return
        raise ReplayFailed(
            f"Kafka does not show what {partition[0]}/{partition[1]} holds: replay again."
        )


@contextmanager
def opened(brokers: str) -> Iterator[Topics]:
    """Kafka for as long as the block lasts; what it refuses becomes `ReplayFailed`."""
    topics = Topics(brokers)
    try:
        yield topics
    except KafkaException as error:
        problem = error.args[0].str()
        raise ReplayFailed(
            f"Kafka at {brokers} does not answer ({problem}): look at `userflow status`, then "
            "replay again."
        ) from error
    finally:
        topics.close()


def _replay_of(message: Message) -> bytes:
    headers: list[tuple[str, Any]] = message.headers() or []  # type: ignore[assignment]
    return next((value for name, value in headers if name == REPLAY_OF), b"") or b""
