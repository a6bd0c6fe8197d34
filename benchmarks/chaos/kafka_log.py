"""What lies in Kafka's topics: all of it, or from given offsets on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

__all__ = ["Record", "ends", "read"]

WAIT_S = 15.0
MESSAGE_BYTES = 9 << 20
NOWHERE: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """`at_ms`: when the broker took it."""

    topic: str
    partition: int
    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, int, int]:
        return self.topic, self.partition, self.offset


def read(brokers: str, topic: str, begins: Mapping[str, int] = NOWHERE) -> list[Record]:
    """Every record of the topic, by partition in order; `begins`: `topic/partition` -> offset."""
    consumer = _consumer(brokers)
    try:
        partitions = consumer.list_topics(topic, timeout=WAIT_S).topics[topic].partitions
        places = [
            TopicPartition(topic, number, begins.get(f"{topic}/{number}", 0))
            for number in partitions
        ]
        consumer.assign(places)
        found = [_record(message) for message in _until_the_end(consumer, len(places))]
    finally:
        consumer.close()
    return sorted(found, key=lambda record: record.place)


def ends(brokers: str, topic: str) -> dict[str, int]:
    """`topic/partition` -> the offset that the next record will get."""
    consumer = _consumer(brokers)
    try:
        partitions = consumer.list_topics(topic, timeout=WAIT_S).topics[topic].partitions
        return {
            f"{topic}/{number}": consumer.get_watermark_offsets(
                TopicPartition(topic, number), timeout=WAIT_S
            )[1]
            for number in partitions
        }
    finally:
        consumer.close()


def _consumer(brokers: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "userflow-chaos",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.message.max.bytes": MESSAGE_BYTES,
            "log_level": 0,
        }
    )


def _until_the_end(consumer: Consumer, partitions: int) -> Iterator[Message]:
    ended = 0
    while ended < partitions:
        message = consumer.poll(WAIT_S)
        if message is None:
            raise TimeoutError(f"Kafka has sent nothing for {WAIT_S:.0f} s, before a topic's end.")
        error = message.error()
        if error is None:
            yield message
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
            ended += 1


def _record(message: Message) -> Record:
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        at_ms=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
        headers=dict(message.headers() or []),  # type: ignore[arg-type]
    )
